"""Chain and twin side by side: histories that both live through, and what differs afterwards."""
