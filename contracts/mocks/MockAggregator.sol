// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title Settable price feed with Chainlink's AggregatorV3 surface
/// @notice Plays a price feed, or an L2 sequencer uptime feed (answer 0 is up, 1 is down, startedAt is the change).
/// @dev Warning: for tests only, anybody may set it. There is nothing to stop: no owner, no pause.
/// All state lives in one namespaced struct, so that this code can be laid over any other contract of a fork.
contract MockAggregator {
    struct Round {
        int256 answer;
        uint256 startedAt;
        uint256 updatedAt;
    }

    struct State {
        uint80 latestRound;
        mapping(uint256 roundId => Round) rounds;
    }

    error NoDataPresent();

    event AnswerUpdated(int256 indexed current, uint256 indexed roundId, uint256 updatedAt);

    bytes32 private constant STATE_SLOT = keccak256("MockAggregator.state");

    uint256 public constant version = 4;
    uint8 public immutable decimals;

    constructor(uint8 decimals_, int256 answer) {
        decimals = decimals_;
        set(answer);
    }

    /* VIEWS */

    function description() external pure returns (string memory) {
        return "MockAggregator";
    }

    function latestRound() external view returns (uint256) {
        return _state().latestRound;
    }

    function latestAnswer() external view returns (int256) {
        State storage state = _state();
        return state.rounds[state.latestRound].answer;
    }

    function latestRoundData()
        external
        view
        returns (uint80 roundId, int256 answer, uint256 startedAt, uint256 updatedAt, uint80 answeredInRound)
    {
        return getRoundData(_state().latestRound);
    }

    /// @notice A round before the first or after the last one reverts, as Chainlink's does.
    function getRoundData(uint80 id)
        public
        view
        returns (uint80 roundId, int256 answer, uint256 startedAt, uint256 updatedAt, uint80 answeredInRound)
    {
        State storage state = _state();
        require(id != 0 && id <= state.latestRound, NoDataPresent());
        Round storage round = state.rounds[id];
        return (id, round.answer, round.startedAt, round.updatedAt, id);
    }

    /* ACTIONS */

    /// @notice Starts and finishes a round now.
    function set(int256 answer) public {
        setRound(answer, block.timestamp, block.timestamp);
    }

    /// @notice Appends a round with any times: stale, from the future, or with a negative answer.
    function setRound(int256 answer, uint256 startedAt, uint256 updatedAt) public {
        State storage state = _state();
        uint80 id = ++state.latestRound;
        state.rounds[id] = Round({answer: answer, startedAt: startedAt, updatedAt: updatedAt});
        emit AnswerUpdated({current: answer, roundId: id, updatedAt: updatedAt});
    }

    function _state() private pure returns (State storage state) {
        bytes32 slot = STATE_SLOT;
        assembly ("memory-safe") {
            state.slot := slot
        }
    }
}
