"""What a backtest says: tables for a terminal, figures for programs, a page with plots."""
