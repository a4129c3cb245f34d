// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IRequestQueue} from "interfaces/IRequestQueue.sol";
import {WAD} from "contracts/libraries/LeverageMath.sol";

/// @title Requests that collect in batches and end together: one side of a request queue, deposits or redemptions.
/// @notice Every function costs the same for any number of requests: a batch keeps sums, a request its part of them.
/// @dev `amount` is what was requested, assets or shares; `result` what came of it, shares or assets. At most two batches
/// have not ended: the head, which is next to be committed or in flight, and the tail, which collects. So a controller's
/// requests fit in two places, by the parity of their batch, and what is older has ended.
library Batches {
    using SafeCast for uint256;

    /// @dev PARTLY: settled in part, because the venue filled no more; the rest is returned.
    enum End {
        NONE,
        SETTLED,
        PARTLY,
        REFUNDED
    }

    /// @dev Once it has ended, what is left of it to claim.
    /// @param openedAt When its first request was made.
    /// @param hasFailed Whether an order of it has failed: who chose a refund has left it.
    struct Batch {
        uint104 amount;
        uint104 result;
        uint32 openedAt;
        bool hasFailed;
        End end;
    }

    /// @dev Of a request in a batch that was filled in part: all of it, what was filled, or what is returned.
    enum Part {
        WHOLE,
        FILLED,
        RETURNED
    }

    /// @param isRefunded Whether it leaves its batch when an order fails.
    struct Request {
        uint128 amount;
        uint64 batch;
        bool isRefunded;
        Part part;
    }

    /// @dev Settled requests whose place was needed for a new one, and what is left of claims in part.
    struct Claim {
        uint128 amount;
        uint128 result;
    }

    /// @param room Most that the tail may hold, as far as it is known.
    /// @param least Smallest request.
    /// @param refundable Part of a batch that leaves it when an order fails; of one that was filled in part, what is left to
    /// be returned.
    /// @param returned Refunds whose place was needed for a new request.
    /// @param unfilled WAD fraction of a batch that is returned because the venue did not fill it.
    struct Side {
        uint32 head;
        uint32 tail;
        bool isInFlight;
        uint104 room;
        uint80 least;
        mapping(uint256 id => Batch) batches;
        mapping(uint256 id => uint256) refundable;
        mapping(uint256 id => uint256) unfilled;
        mapping(address controller => Request[2]) requests;
        mapping(address controller => Claim) claims;
        mapping(address controller => uint256) returned;
    }

    /// @notice Before the first request: ids count from 1.
    function open(Side storage q, uint256 room) internal {
        (q.head, q.tail) = (1, 1);
        limit(q, room, 1);
    }

    /// @notice How much the tail may hold from now on, and the smallest request.
    function limit(Side storage q, uint256 room, uint256 least) internal {
        q.room = uint104(Math.min(room, type(uint104).max));
        q.least = uint80(Math.min(least, type(uint80).max));
    }

    /* REQUESTS */

    /// @notice Whether the tail takes `amount` by what is known.
    function takes(Side storage q, uint256 amount) internal view returns (bool) {
        uint256 waiting = q.batches[q.tail].amount;
        return amount >= q.least && waiting <= q.room && amount <= q.room - waiting;
    }

    /// @notice Add to the controller's request in the batch that collects. The latest choice holds for all of it, if the
    /// controller made it; nobody chooses for somebody else who has chosen.
    function join(Side storage q, address controller, uint256 amount, bool isRefunded, bool mayChoose)
        internal
        returns (uint256 id)
    {
        require(controller != address(0), IRequestQueue.ZeroController());
        id = q.tail;
        Request storage place = q.requests[controller][id & 1];
        Request memory r = place;
        uint256 before;
        if (r.batch == id) {
            before = r.amount;
            if (!mayChoose) isRefunded = r.isRefunded;
        } else if (r.amount > 0) {
            _keep(q, controller, r);
        }
        Batch storage b = q.batches[id];
        uint256 total = b.amount;
        if (total == 0) b.openedAt = uint32(block.timestamp);
        b.amount = (total + amount).toUint104();
        if (before > 0 && r.isRefunded) q.refundable[id] -= before;
        if (isRefunded) q.refundable[id] += before + amount;
        (place.amount, place.batch) = (uint128(before + amount), uint64(id));
        (place.isRefunded, place.part) = (isRefunded, Part.WHOLE);
    }

    /// @notice Take a request out that is not in flight, or the refund of one that failed; older refunds under the id 0.
    function cancel(Side storage q, address controller, uint256 id) internal returns (uint256 amount) {
        Request memory r = q.requests[controller][id & 1];
        if (id == 0) {
            amount = q.returned[controller];
            require(amount > 0, IRequestQueue.NoRequest(id, controller));
            q.returned[controller] = 0;
            return amount;
        }
        require(r.batch == id && r.amount > 0, IRequestQueue.NoRequest(id, controller));
        Batch storage b = q.batches[id];
        if (_isRefunded(b, r)) {
            amount = _drawRefund(b, r);
        } else if (b.end == End.PARTLY && r.part == Part.WHOLE) {
            amount = _takeUnfilled(q, b, r);
            q.requests[controller][id & 1] = Request(r.amount - uint128(amount), r.batch, r.isRefunded, Part.FILLED);
            return amount;
        } else {
            require(!(q.isInFlight && id == q.head), IRequestQueue.RequestInFlight(id));
            require(b.end == End.NONE, IRequestQueue.RequestSettled(id));
            amount = r.amount;
            b.amount -= uint104(amount);
            if (r.isRefunded) q.refundable[id] -= amount;
        }
        delete q.requests[controller][id & 1];
    }

    /// @notice Claim `amount` of what was requested; returns the result that belongs to it.
    function take(Side storage q, address controller, uint256 amount, bool isLastHeld)
        internal
        returns (uint256 result)
    {
        Claim memory c = _gather(q, controller, isLastHeld);
        require(amount <= c.amount, IRequestQueue.ExceedsClaimable(amount, c.amount));
        result = amount * c.result / c.amount;
        _leave(q, controller, c, amount, result);
    }

    /// @notice Claim `result`; returns the amount of the request that this uses up.
    function takeResult(Side storage q, address controller, uint256 result, bool isLastHeld)
        internal
        returns (uint256 amount)
    {
        Claim memory c = _gather(q, controller, isLastHeld);
        require(result <= c.result, IRequestQueue.ExceedsClaimable(result, c.result));
        amount = Math.ceilDiv(result * c.amount, c.result);
        _leave(q, controller, c, amount, result);
    }

    /* BATCHES */

    /// @notice The head goes to the venue; from now on requests join the next batch.
    function commit(Side storage q) internal {
        // A batch that was carried on until everybody had left it is passed over.
        if (q.batches[q.head].amount == 0) q.head = q.tail;
        if (q.room < type(uint104).max) q.room = uint104(Math.saturatingSub(q.room, q.batches[q.head].amount));
        q.isInFlight = true;
        q.tail = q.head + 1;
    }

    /// @notice The batch in flight ends with `result` for all of it but the WAD fraction `unfilled`.
    function settle(Side storage q, uint256 result, uint256 unfilled) internal {
        if (unfilled == 0) return _end(q, End.SETTLED, result);
        uint256 whole = q.batches[q.head].amount;
        uint256 part = filled(whole, unfilled);
        q.unfilled[q.head] = unfilled;
        q.refundable[q.head] = whole - part;
        q.batches[q.head].amount = uint104(part);
        _end(q, End.PARTLY, result);
    }

    /// @notice The batch in flight ends and returns `result` of what was requested.
    function refund(Side storage q, uint256 result) internal {
        _end(q, End.REFUNDED, result);
    }

    /// @notice What was promised to the batch that ended last and will never come: at most its result. Returns how much.
    function writeOff(Side storage q, uint256 lost) internal returns (uint256) {
        Batch storage b = q.batches[q.head - 1];
        lost = Math.min(lost, b.result);
        b.result -= uint104(lost);
        return lost;
    }

    /// @notice The order failed: who chose a refund leaves the batch, the others are carried on; all of it is refunded
    /// when it has been open for longer than `patience` seconds.
    function carry(Side storage q, uint256 patience) internal {
        Batch storage b = q.batches[q.head];
        if (block.timestamp > b.openedAt + patience) return refund(q, b.amount);
        q.isInFlight = false;
        b.amount -= uint104(q.refundable[q.head]);
        q.refundable[q.head] = 0;
        b.hasFailed = true;
    }

    /* VIEWS */

    /// @notice What is settled of `amount` when the WAD fraction `unfilled` is not.
    function filled(uint256 amount, uint256 unfilled) internal pure returns (uint256) {
        return amount - amount * unfilled / WAD;
    }

    /// @notice What the next commit would take, and since when it waits; nothing while a batch is in flight.
    function next(Side storage q) internal view returns (uint256 amount, uint256 openedAt) {
        if (q.isInFlight) return (0, 0);
        Batch memory b = q.batches[q.head];
        if (b.amount == 0 && q.head != q.tail) b = q.batches[q.tail];
        return b.amount == 0 ? (0, 0) : (b.amount, b.openedAt);
    }

    /// @notice What is in flight.
    function inFlight(Side storage q) internal view returns (uint256) {
        return q.isInFlight ? q.batches[q.head].amount : 0;
    }

    /// @notice What has not ended but collects no more: in flight or carried on.
    function closed(Side storage q) internal view returns (uint256) {
        return q.head == q.tail ? 0 : q.batches[q.head].amount;
    }

    /// @notice The part of a request that has not ended.
    function pending(Side storage q, uint256 id, address controller, bool isLastHeld) internal view returns (uint256) {
        Request memory r = q.requests[controller][id & 1];
        Batch storage b = q.batches[id];
        if (r.batch != id || _isEnded(q, b, id, isLastHeld) || _isRefunded(b, r)) return 0;
        return r.amount - _unfilledOf(q, b, r);
    }

    /// @notice What a controller can claim of the batch `id`, or of everything when `id` is 0.
    function claimableOf(Side storage q, uint256 id, address controller, bool isLastHeld)
        internal
        view
        returns (uint256)
    {
        if (id == 0) return claimable(q, controller, isLastHeld).amount;
        Request memory r = q.requests[controller][id & 1];
        Batch storage b = q.batches[id];
        return r.batch == id && _isClaimable(q, b, r, isLastHeld) ? r.amount - _unfilledOf(q, b, r) : 0;
    }

    /// @notice What a controller can take back of the batch `id` because an order failed or was filled in part; of batches
    /// whose place was needed when `id` is 0.
    function refundableOf(Side storage q, uint256 id, address controller) internal view returns (uint256) {
        if (id == 0) return q.returned[controller];
        Request memory r = q.requests[controller][id & 1];
        if (r.batch != id || r.amount == 0) return 0;
        Batch storage b = q.batches[id];
        if (!_isRefunded(b, r)) return _unfilledOf(q, b, r);
        return _isWhole(b, r) ? r.amount : _resultOf(b, r.amount);
    }

    /// @notice Everything that a controller can claim. With `isLastHeld` the batch that ended last is not paid for yet.
    function claimable(Side storage q, address controller, bool isLastHeld) internal view returns (Claim memory c) {
        c = q.claims[controller];
        for (uint256 i = 0; i < 2; ++i) {
            Request memory r = q.requests[controller][i];
            Batch storage b = q.batches[r.batch];
            if (!_isClaimable(q, b, r, isLastHeld)) continue;
            uint256 amount = r.amount - _unfilledOf(q, b, r);
            c.amount += uint128(amount);
            c.result += uint128(_resultOf(b, amount));
        }
    }

    /* INTERNALS */

    function _end(Side storage q, End end, uint256 result) private {
        Batch storage b = q.batches[q.head];
        b.result = result.toUint104();
        b.end = end;
        q.head += 1;
        q.isInFlight = false;
    }

    /// @dev Everything that a controller can claim, taken out of its batches.
    function _gather(Side storage q, address controller, bool isLastHeld) private returns (Claim memory c) {
        c = q.claims[controller];
        for (uint256 i = 0; i < 2; ++i) {
            Request storage place = q.requests[controller][i];
            Request memory r = place;
            if (r.amount == 0) continue;
            Batch storage b = q.batches[r.batch];
            if (!_isClaimable(q, b, r, isLastHeld)) continue;
            uint256 back = _takeUnfilled(q, b, r);
            uint256 amount = r.amount - back;
            c.amount += uint128(amount);
            c.result += uint128(_draw(b, amount));
            if (back == 0) delete q.requests[controller][i];
            else (place.amount, place.part) = (uint128(back), Part.RETURNED);
        }
    }

    /// @dev What is not claimed yet stays as a sum.
    function _leave(Side storage q, address controller, Claim memory c, uint256 amount, uint256 result) private {
        q.claims[controller] = Claim(c.amount - uint128(amount), c.result - uint128(result));
    }

    /// @dev Make room for a new request: what an old one has earned, or gets back, joins the sum.
    function _keep(Side storage q, address controller, Request memory r) private {
        Batch storage b = q.batches[r.batch];
        if (_isRefunded(b, r)) {
            q.returned[controller] += _drawRefund(b, r);
            return;
        }
        uint256 back = _takeUnfilled(q, b, r);
        if (back > 0) q.returned[controller] += back;
        Claim storage c = q.claims[controller];
        c.amount += uint128(r.amount - back);
        c.result += uint128(_draw(b, r.amount - back));
    }

    /// @dev Take a request's part out of its batch: what rounds down stays for the others, and the last gets all that is left.
    function _draw(Batch storage b, uint256 amount) private returns (uint256 result) {
        result = _resultOf(b, amount);
        b.amount -= uint104(amount);
        b.result -= uint104(result);
    }

    function _drawRefund(Batch storage b, Request memory r) private returns (uint256) {
        return _isWhole(b, r) ? r.amount : _draw(b, r.amount);
    }

    function _resultOf(Batch storage b, uint256 amount) private view returns (uint256) {
        return amount == b.amount ? b.result : amount * b.result / b.amount;
    }

    /// @dev What of a request is returned because it was not filled: rounded up, until all that is returned is gone.
    function _unfilledOf(Side storage q, Batch storage b, Request memory r) private view returns (uint256) {
        if (b.end != End.PARTLY || r.part != Part.WHOLE) return 0;
        return Math.min(Math.ceilDiv(r.amount * q.unfilled[r.batch], WAD), q.refundable[r.batch]);
    }

    function _takeUnfilled(Side storage q, Batch storage b, Request memory r) private returns (uint256 back) {
        back = _unfilledOf(q, b, r);
        if (back > 0) q.refundable[r.batch] -= back;
    }

    function _isClaimable(Side storage q, Batch storage b, Request memory r, bool isLastHeld)
        private
        view
        returns (bool)
    {
        return r.amount > 0 && _isEnded(q, b, r.batch, isLastHeld) && !_isRefunded(b, r);
    }

    function _isEnded(Side storage q, Batch storage b, uint256 id, bool isLastHeld) private view returns (bool) {
        return b.end != End.NONE && (!isLastHeld || id + 1 < q.head);
    }

    function _isRefunded(Batch storage b, Request memory r) private view returns (bool) {
        return b.end == End.REFUNDED || _isWhole(b, r);
    }

    /// @dev Refunds that are none of their batch's any more: they get all that was asked.
    function _isWhole(Batch storage b, Request memory r) private view returns (bool) {
        return r.part == Part.RETURNED || (b.hasFailed && r.isRefunded && r.part == Part.WHOLE);
    }
}
