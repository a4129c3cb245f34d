// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IRequestQueue} from "interfaces/IRequestQueue.sol";

/// @title Requests that collect in batches and end together: one side of a request queue, deposits or redemptions.
/// @notice Every function costs the same for any number of requests: a batch keeps sums, a request its part of them.
/// @dev `amount` is what was requested, assets or shares; `result` what came of it, shares or assets. At most two batches
/// have not ended: the head, which is next to be committed or in flight, and the tail, which collects. So a controller's
/// requests fit in two places, by the parity of their batch, and what is older has ended.
library Batches {
    using SafeCast for uint256;

    enum End {
        NONE,
        SETTLED,
        REFUNDED
    }

    /// @param refundable Part of the amount that leaves the batch when its order fails.
    /// @param openedAt When its first request was made.
    /// @param hasFailed Whether an order of it has failed: what was refundable then is so for good.
    struct Batch {
        uint128 amount;
        uint128 result;
        uint128 refundable;
        uint40 openedAt;
        bool hasFailed;
        End end;
    }

    struct Request {
        uint128 amount;
        uint64 batch;
        bool isRefunded;
    }

    /// @dev Settled requests whose place was needed for a new one.
    struct Claim {
        uint128 amount;
        uint128 result;
    }

    struct Side {
        uint64 head;
        uint64 tail;
        bool isInFlight;
        mapping(uint256 id => Batch) batches;
        mapping(address controller => Request[2]) requests;
        mapping(address controller => Claim) claims;
    }

    /// @notice Before the first request: ids count from 1.
    function open(Side storage q) internal {
        (q.head, q.tail) = (1, 1);
    }

    /* REQUESTS */

    /// @notice Add to the controller's request in the batch that collects. The latest choice holds for all of it.
    function join(Side storage q, address controller, uint256 amount, bool isRefunded) internal returns (uint256 id) {
        require(controller != address(0), IRequestQueue.ZeroController());
        id = q.tail;
        Request storage r = q.requests[controller][id & 1];
        Batch storage b = q.batches[id];
        Request memory was = r;
        if (was.batch != id) {
            _keep(q, controller, was);
            was = Request(0, id.toUint64(), isRefunded);
        }
        if (b.amount == 0) b.openedAt = uint40(block.timestamp);
        b.amount += amount.toUint128();
        if (was.isRefunded) b.refundable -= was.amount;
        was.amount += amount.toUint128();
        was.isRefunded = isRefunded;
        if (isRefunded) b.refundable += was.amount;
        q.requests[controller][id & 1] = was;
    }

    /// @notice Take a request out that is not in flight, or the refund of one that failed.
    function cancel(Side storage q, address controller, uint256 id) internal returns (uint256 amount) {
        Request memory r = q.requests[controller][id & 1];
        require(r.batch == id && r.amount > 0, IRequestQueue.NoRequest(id, controller));
        require(!(q.isInFlight && id == q.head), IRequestQueue.RequestInFlight(id));
        Batch storage b = q.batches[id];
        amount = r.amount;
        if (b.end == End.REFUNDED) {
            amount = amount * b.result / b.amount;
        } else if (!(b.hasFailed && r.isRefunded)) {
            require(b.end == End.NONE, IRequestQueue.RequestSettled(id));
            b.amount -= r.amount;
            if (r.isRefunded) b.refundable -= r.amount;
        }
        delete q.requests[controller][id & 1];
    }

    /// @notice Claim `amount` of what was requested; returns the result that belongs to it.
    function take(Side storage q, address controller, uint256 amount, bool isLastHeld)
        internal
        returns (uint256 result)
    {
        Claim memory c = claimable(q, controller, isLastHeld);
        require(amount <= c.amount, IRequestQueue.ExceedsClaimable(amount, c.amount));
        result = amount == 0 ? 0 : amount * c.result / c.amount;
        _write(q, controller, c, amount, result, isLastHeld);
    }

    /// @notice Claim `result`; returns the amount of the request that this uses up.
    function takeResult(Side storage q, address controller, uint256 result, bool isLastHeld)
        internal
        returns (uint256 amount)
    {
        Claim memory c = claimable(q, controller, isLastHeld);
        require(result <= c.result, IRequestQueue.ExceedsClaimable(result, c.result));
        amount = result == 0 ? 0 : Math.ceilDiv(result * c.amount, c.result);
        _write(q, controller, c, amount, result, isLastHeld);
    }

    /* BATCHES */

    /// @notice The head goes to the venue; from now on requests join the next batch.
    function commit(Side storage q) internal {
        // A batch that was carried on until everybody had left it is passed over.
        if (q.batches[q.head].amount == 0) q.head = q.tail;
        q.isInFlight = true;
        q.tail = q.head + 1;
    }

    /// @notice The batch in flight ends with `result` for all of it.
    function settle(Side storage q, uint256 result) internal {
        _end(q, End.SETTLED, result);
    }

    /// @notice The batch in flight ends and returns `result` of what was requested.
    function refund(Side storage q, uint256 result) internal {
        _end(q, End.REFUNDED, result);
    }

    /// @notice The order failed: who chose a refund leaves the batch, the others are carried on; all of it is refunded
    /// when it has been open for longer than `patience` seconds.
    function carry(Side storage q, uint256 patience) internal {
        Batch storage b = q.batches[q.head];
        if (block.timestamp > b.openedAt + patience) return refund(q, b.amount);
        q.isInFlight = false;
        b.amount -= b.refundable;
        b.refundable = 0;
        b.hasFailed = true;
    }

    /* VIEWS */

    /// @notice What the next commit would take, and since when it waits; nothing while a batch is in flight.
    function next(Side storage q) internal view returns (uint256 amount, uint256 openedAt) {
        if (q.isInFlight) return (0, 0);
        Batch storage b = q.batches[q.head];
        if (b.amount == 0) b = q.batches[q.tail];
        return b.amount == 0 ? (0, 0) : (b.amount, b.openedAt);
    }

    /// @notice What is in flight.
    function inFlight(Side storage q) internal view returns (uint256) {
        return q.isInFlight ? q.batches[q.head].amount : 0;
    }

    /// @notice Everything that was requested and has not ended.
    function waiting(Side storage q) internal view returns (uint256 amount) {
        amount = q.batches[q.tail].amount;
        if (q.head != q.tail) amount += q.batches[q.head].amount;
    }

    /// @notice The part of a request that has not ended.
    function pending(Side storage q, uint256 id, address controller, bool isLastHeld) internal view returns (uint256) {
        Request memory r = q.requests[controller][id & 1];
        if (r.batch != id || _isRefunded(q, r)) return 0;
        return _isEnded(q, id, isLastHeld) ? 0 : r.amount;
    }

    /// @notice What a controller can claim of the batch `id`, or of everything when `id` is 0.
    function claimableOf(Side storage q, uint256 id, address controller, bool isLastHeld)
        internal
        view
        returns (uint256)
    {
        if (id == 0) return claimable(q, controller, isLastHeld).amount;
        Request memory r = q.requests[controller][id & 1];
        return r.batch == id && _isClaimable(q, r, isLastHeld) ? r.amount : 0;
    }

    /// @notice Everything that a controller can claim. With `isLastHeld` the batch that ended last is not paid for yet.
    function claimable(Side storage q, address controller, bool isLastHeld) internal view returns (Claim memory c) {
        c = q.claims[controller];
        for (uint256 i = 0; i < 2; ++i) {
            Request memory r = q.requests[controller][i];
            if (!_isClaimable(q, r, isLastHeld)) continue;
            c.amount += r.amount;
            c.result += _resultOf(q, r);
        }
    }

    /* INTERNALS */

    function _end(Side storage q, End end, uint256 result) private {
        Batch storage b = q.batches[q.head];
        b.result = result.toUint128();
        b.end = end;
        q.head += 1;
        q.isInFlight = false;
    }

    /// @dev Make room for a new request: what an old one has earned joins the sum. A refund must be taken first.
    function _keep(Side storage q, address controller, Request memory r) private {
        if (r.amount == 0) return;
        require(!_isRefunded(q, r), IRequestQueue.RefundWaiting(r.batch, r.amount));
        Claim storage c = q.claims[controller];
        c.amount += r.amount;
        c.result += _resultOf(q, r);
    }

    /// @dev What is left of a claim goes to the sum, and the requests that it took in are gone.
    function _write(Side storage q, address controller, Claim memory c, uint256 amount, uint256 result, bool isLastHeld)
        private
    {
        for (uint256 i = 0; i < 2; ++i) {
            if (_isClaimable(q, q.requests[controller][i], isLastHeld)) delete q.requests[controller][i];
        }
        q.claims[controller] = Claim(c.amount - uint128(amount), c.result - uint128(result));
    }

    function _isClaimable(Side storage q, Request memory r, bool isLastHeld) private view returns (bool) {
        return r.amount > 0 && _isEnded(q, r.batch, isLastHeld) && !_isRefunded(q, r);
    }

    function _isEnded(Side storage q, uint256 id, bool isLastHeld) private view returns (bool) {
        return id < (isLastHeld ? q.head - 1 : q.head);
    }

    function _isRefunded(Side storage q, Request memory r) private view returns (bool) {
        Batch storage b = q.batches[r.batch];
        return b.end == End.REFUNDED || (b.hasFailed && r.isRefunded);
    }

    function _resultOf(Side storage q, Request memory r) private view returns (uint128) {
        Batch storage b = q.batches[r.batch];
        return (uint256(r.amount) * b.result / b.amount).toUint128();
    }
}
