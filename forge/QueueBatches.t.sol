// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {Batches} from "contracts/libraries/Batches.sol";
import {WAD} from "contracts/libraries/LeverageMath.sol";
import {anyMagnitude, bound, vm} from "./Vm.sol";

/// @title One side of a queue, so that calls of it can fail.
contract OneSide {
    using Batches for Batches.Side;

    Batches.Side private _q;

    constructor() {
        _q.open(type(uint256).max);
    }

    function limit(uint256 room, uint256 least) external {
        _q.limit(room, least);
    }

    function join(address controller, uint256 amount, bool isRefunded, bool mayChoose) external returns (uint256) {
        return _q.join(controller, amount, isRefunded, mayChoose);
    }

    function cancel(address controller, uint256 id) external returns (uint256) {
        return _q.cancel(controller, id);
    }

    function take(address controller, uint256 amount, bool isHeld) external returns (uint256) {
        return _q.take(controller, amount, isHeld);
    }

    function takeResult(address controller, uint256 result, bool isHeld) external returns (uint256) {
        return _q.takeResult(controller, result, isHeld);
    }

    function commit() external {
        _q.commit();
    }

    function settle(uint256 result, uint256 unfilled) external {
        _q.settle(result, unfilled);
    }

    function refund(uint256 result) external {
        _q.refund(result);
    }

    function carry(uint256 patience) external {
        _q.carry(patience);
    }

    function next() external view returns (uint256 amount, uint256 openedAt) {
        return _q.next();
    }

    function inFlight() external view returns (uint256) {
        return _q.inFlight();
    }

    function closed() external view returns (uint256) {
        return _q.closed();
    }

    function pending(uint256 id, address controller, bool isHeld) external view returns (uint256) {
        return _q.pending(id, controller, isHeld);
    }

    function claimableOf(uint256 id, address controller, bool isHeld) external view returns (uint256) {
        return _q.claimableOf(id, controller, isHeld);
    }

    function refundableOf(uint256 id, address controller) external view returns (uint256) {
        return _q.refundableOf(id, controller);
    }

    function claimable(address controller, bool isHeld) external view returns (uint256, uint256) {
        Batches.Claim memory c = _q.claimable(controller, isHeld);
        return (c.amount, c.result);
    }
}

/// @title The library against a model that keeps every request of everybody in a list, over random histories.
contract QueueBatchesTest {
    enum State {
        COLLECTING,
        IN_FLIGHT,
        CARRIED,
        SETTLED,
        REFUNDED
    }

    /// @dev `isGone` when it was taken back whole, `hasLeft` when it left its batch at a failure, `isCut` when the part that
    /// was not filled was taken back; `cut` is that part once it `isFixed`.
    struct Entry {
        uint256 batch;
        uint256 amount;
        bool isRefunded;
        bool isGone;
        bool hasLeft;
        bool isCut;
        bool isFixed;
        uint256 cut;
    }

    struct Book {
        State state;
        uint256 openedAt;
        uint256 amount;
        uint256 result;
        uint256 unfilled;
        /// @dev What was not filled and is not fixed to be anybody's yet.
        uint256 back;
    }

    uint256 private constant PATIENCE = 1 hours;
    uint256 private constant STEPS = 48;

    OneSide private _side;
    address[4] private _actors = [address(0xA11), address(0xB22), address(0xC33), address(0xD44)];
    mapping(address actor => Entry[]) private _entries;
    Book[] private _books;
    /// @dev Ids of what collects and of what went before it and has not ended; 0 for none.
    uint256 private _tail;
    uint256 private _head;
    /// @dev The batch that ended last is not paid for.
    bool private _isHeld;
    uint256 private _ended;
    /// @dev Refunds of older requests that were not taken.
    mapping(address actor => uint256) private _kept;
    mapping(address actor => uint256) private _taken;
    mapping(address actor => uint256) private _got;
    uint256 private _joined;
    uint256 private _returned;
    uint256 private _gotAll;

    function setUp() public {
        _side = new OneSide();
        _books.push();
        _open();
    }

    function test_history__any__is_what_a_list_says(uint256 seed) public {
        for (uint256 i = 0; i < STEPS; ++i) {
            _step(uint256(keccak256(abi.encode(seed, i))));
            _checkAll();
        }

        _finish();
    }

    /* STEPS */

    function _step(uint256 seed) private {
        address actor = _actors[seed % 4];
        uint256 what = (seed >> 8) % 16;
        uint256 value = seed >> 16;
        if (what < 5) _join(actor, anyMagnitude(value, 24), value >> 128 & 1 == 1, value >> 129 & 3 != 0);
        else if (what == 5) value % 4 == 0 ? _cancelKept(actor) : _cancel(actor, value);
        else if (what < 8) _take(actor, value);
        else if (what == 8) _takeResult(actor, value);
        else if (what < 11) _commit();
        else if (what < 13) _settle(value);
        else if (what == 13) _fail(value);
        else if (what == 14) vm.warp(block.timestamp + bound(value, 1, 2 * PATIENCE));
        else _limit(value);
    }

    function _join(address actor, uint256 amount, bool isRefunded, bool mayChoose) private {
        _keepRefunds(actor);
        vm.assertEq(_side.join(actor, amount, isRefunded, mayChoose), _tail, "the batch that collects");

        Entry[] storage mine = _entries[actor];
        Book storage book = _books[_tail];
        if (book.amount == 0) book.openedAt = block.timestamp;
        book.amount += amount;
        _joined += amount;
        uint256 last = mine.length;
        if (last == 0 || mine[last - 1].batch != _tail) {
            mine.push(Entry(_tail, amount, isRefunded, false, false, false, false, 0));
            return;
        }
        Entry storage e = mine[last - 1];
        if (mayChoose || e.isGone) e.isRefunded = isRefunded;
        e.amount = e.isGone ? amount : e.amount + amount;
        e.isGone = false;
    }

    /// @dev What can be taken back of an older request moves on when a new one needs its place.
    function _keepRefunds(address actor) private {
        Entry[] storage mine = _entries[actor];
        for (uint256 i = 0; i < mine.length; ++i) {
            Entry storage e = mine[i];
            if (e.batch == _tail || (_tail - e.batch) % 2 != 0) continue;
            if (_back(e) == 0) {
                _fix(e);
                continue;
            }
            uint256 back = _side.refundableOf(e.batch, actor);
            _kept[actor] += back;
            _takeBack(e, back);
        }
    }

    function _cancelKept(address actor) private {
        try _side.cancel(actor, 0) returns (uint256 amount) {
            vm.assertTrue(amount > 0 && amount == _kept[actor], "older refunds, to the wei");
            _returned += amount;
            _kept[actor] = 0;
        } catch {
            vm.assertEq(_kept[actor], 0, "older refunds can be taken");
        }
    }

    /// @dev Whatever can be taken back of one request; what cannot fails.
    function _cancel(address actor, uint256 value) private {
        Entry[] storage mine = _entries[actor];
        if (mine.length == 0) return;
        Entry storage e = mine[value % mine.length];
        Book storage book = _books[e.batch];
        uint256 back = _back(e);
        bool isOpen = book.state == State.COLLECTING || book.state == State.CARRIED;
        bool isLive = isOpen && !e.isGone && !e.hasLeft;
        try _side.cancel(actor, e.batch) returns (uint256 amount) {
            // What was settled in part gives back nothing where the rest is less than a wei.
            bool isCut = book.state == State.SETTLED && book.unfilled > 0 && !e.isGone;
            vm.assertTrue(isLive || back > 0 || isCut, "there was nothing to take back");
            _returned += amount;
            if (isLive) {
                vm.assertEq(amount, e.amount, "all of it");
                book.amount -= amount;
                e.isGone = true;
            } else {
                _takeBack(e, amount);
            }
        } catch {
            vm.assertTrue(!isLive && back == 0, "could be taken back");
        }
    }

    function _take(address actor, uint256 value) private {
        uint256 most = _claimable(actor);
        (uint256 amount, uint256 result) = _side.claimable(actor, _isHeld);
        vm.assertEq(amount, most, "claimable");
        if (most == 0) return;
        amount = value % 2 == 0 ? most : bound(value, 1, most);

        uint256 got = _side.take(actor, amount, _isHeld);

        _fixAll(actor);
        vm.assertEq(got, amount * result / most, "its part of the result, down");
        _count(actor, amount, got);
    }

    function _takeResult(address actor, uint256 value) private {
        uint256 most = _claimable(actor);
        (, uint256 result) = _side.claimable(actor, _isHeld);
        if (most == 0 || result == 0) return;
        uint256 wanted = bound(value, 1, result);

        uint256 amount = _side.takeResult(actor, wanted, _isHeld);

        _fixAll(actor);
        vm.assertTrue(amount <= most && amount * result >= wanted * most, "uses up enough");
        vm.assertTrue(amount == 0 || (amount - 1) * result < wanted * most, "and no more");
        _count(actor, amount, wanted);
    }

    /// @dev Results whose amount has been used up, by rounding up, can still be had.
    function _takeRest(address actor) private {
        (uint256 amount, uint256 result) = _side.claimable(actor, false);
        vm.assertEq(amount, 0, "all of it was taken");
        if (result == 0) return;
        vm.assertEq(_side.takeResult(actor, result, false), 0, "for nothing more");
        _count(actor, 0, result);
    }

    function _commit() private {
        if (_isInFlight() || _isHeld || _waiting() == 0) return;

        _side.commit();

        if (_head == 0 || _books[_head].amount == 0) {
            _head = _tail;
            _open();
        }
        _books[_head].state = State.IN_FLIGHT;
        vm.assertEq(_side.inFlight(), _books[_head].amount, "all that waits");
    }

    function _settle(uint256 value) private {
        if (!_isInFlight()) return;
        Book storage book = _books[_head];
        uint256 result = value % 8 == 0 ? 0 : anyMagnitude(value >> 8, 30);
        uint256 unfilled = value % 3 == 0 ? bound(value >> 16, 1, WAD - 1) : 0;

        _side.settle(result, unfilled);

        (book.state, book.result, book.unfilled) = (State.SETTLED, result, unfilled);
        book.back = book.amount * unfilled / WAD;
        (_ended, _head) = (_head, 0);
        _isHeld = value >> 4 & 3 == 0;
    }

    function _fail(uint256 value) private {
        if (!_isInFlight()) return;
        Book storage book = _books[_head];
        if (value % 4 == 0) {
            // Some of it went down with the position.
            uint256 result = bound(value >> 8, 0, book.amount);
            _side.refund(result);
            _refund(result);
            return;
        }
        _side.carry(PATIENCE);
        if (block.timestamp > book.openedAt + PATIENCE) return _refund(book.amount);
        book.state = State.CARRIED;
        for (uint256 i = 0; i < _actors.length; ++i) {
            Entry[] storage theirs = _entries[_actors[i]];
            for (uint256 j = 0; j < theirs.length; ++j) {
                Entry storage e = theirs[j];
                if (e.batch != _head || e.isGone || e.hasLeft || !e.isRefunded) continue;
                e.hasLeft = true;
                book.amount -= e.amount;
            }
        }
    }

    /// @dev What is known of the room changes; what waits already does not.
    function _limit(uint256 value) private {
        if (value % 4 == 0) _isHeld = false;
        else _side.limit(value % 4 == 1 ? 0 : anyMagnitude(value, 24), 1);
    }

    /* THE MODEL */

    function _takeBack(Entry storage e, uint256 amount) private {
        Book storage book = _books[e.batch];
        if (book.state == State.REFUNDED && !e.hasLeft) {
            _expectShare(amount, e.amount, book.amount, book.result, "its part of what came back");
        } else {
            vm.assertEq(amount, _back(e), "what was not filled, or all of what left");
        }
        if (book.state == State.SETTLED && !e.hasLeft) {
            _fix(e);
            e.isCut = true;
        } else {
            e.isGone = true;
        }
    }

    /// @dev Whoever comes first gives up a wei more for being cut, until nothing is left to be returned.
    function _cut(Entry storage e) private view returns (uint256) {
        Book storage book = _books[e.batch];
        return e.isFixed ? e.cut : Math.min(Math.ceilDiv(e.amount * book.unfilled, WAD), book.back);
    }

    function _fix(Entry storage e) private {
        if (_books[e.batch].state != State.SETTLED || e.isGone || e.hasLeft || e.isFixed) return;
        (e.cut, e.isFixed) = (_cut(e), true);
        _books[e.batch].back -= e.cut;
    }

    /// @dev A claim takes all that can be claimed out of its batches.
    function _fixAll(address actor) private {
        Entry[] storage mine = _entries[actor];
        for (uint256 i = 0; i < mine.length; ++i) {
            if (!_isHeld || mine[i].batch != _ended) _fix(mine[i]);
        }
    }

    function _open() private {
        _books.push();
        _tail = _books.length - 1;
    }

    function _refund(uint256 result) private {
        (_books[_head].state, _books[_head].result) = (State.REFUNDED, result);
        (_ended, _head) = (_head, 0);
        _isHeld = false;
    }

    function _isInFlight() private view returns (bool) {
        return _head != 0 && _books[_head].state == State.IN_FLIGHT;
    }

    function _waiting() private view returns (uint256) {
        if (_isInFlight()) return 0;
        if (_head != 0 && _books[_head].amount > 0) return _books[_head].amount;
        return _books[_tail].amount;
    }

    /// @dev What of an entry comes back because an order failed, or did not fill it.
    function _back(Entry storage e) private view returns (uint256) {
        Book storage book = _books[e.batch];
        if (e.isGone) return 0;
        if (e.hasLeft) return e.amount;
        if (book.state == State.REFUNDED) return e.amount;
        return book.state == State.SETTLED && !e.isCut ? _cut(e) : 0;
    }

    function _settled(Entry storage e) private view returns (uint256) {
        Book storage book = _books[e.batch];
        if (book.state != State.SETTLED || e.isGone || e.hasLeft) return 0;
        return e.amount - _cut(e);
    }

    function _claimable(address actor) private view returns (uint256 amount) {
        Entry[] storage mine = _entries[actor];
        for (uint256 i = 0; i < mine.length; ++i) {
            if (!_isHeld || mine[i].batch != _ended) amount += _settled(mine[i]);
        }
        amount -= _taken[actor];
    }

    function _count(address actor, uint256 amount, uint256 result) private {
        _taken[actor] += amount;
        _got[actor] += result;
        _gotAll += result;
    }

    /* RULES */

    function _checkAll() private view {
        (uint256 next,) = _side.next();
        vm.assertEq(next, _waiting(), "what the next commit takes");
        for (uint256 i = 0; i < _actors.length; ++i) {
            (uint256 amount,) = _side.claimable(_actors[i], _isHeld);
            vm.assertEq(amount, _claimable(_actors[i]), "what can be claimed");
            vm.assertEq(_side.refundableOf(0, _actors[i]), _kept[_actors[i]], "older refunds");
            Entry[] storage theirs = _entries[_actors[i]];
            for (uint256 j = 0; j < theirs.length; ++j) {
                Entry storage e = theirs[j];
                Book storage book = _books[e.batch];
                if (e.isGone) continue;
                uint256 back = _side.refundableOf(e.batch, _actors[i]);
                if (book.state == State.REFUNDED && !e.hasLeft) {
                    _expectShare(back, e.amount, book.amount, book.result, "what can be taken back");
                } else {
                    vm.assertEq(back, _back(e), "what can be taken back");
                }
                bool isPending = !e.hasLeft
                    && (book.state < State.SETTLED || (_isHeld && e.batch == _ended && book.state == State.SETTLED));
                uint256 pending = _side.pending(e.batch, _actors[i], _isHeld);
                uint256 cut = book.state == State.SETTLED ? _cut(e) : 0;
                vm.assertEq(pending, isPending ? e.amount - cut : 0, "what is pending");
            }
        }
    }

    /// @dev What earlier claims left by rounding down is a wei of each, at the most.
    function _expectShare(uint256 got, uint256 amount, uint256 whole, uint256 result, string memory what) private pure {
        uint256 share = amount * result / whole;
        vm.assertTrue(got >= share && got <= share + 5, what);
    }

    /// @dev Everything ends, everybody takes everything: nothing is lost, and nothing created.
    function _finish() private {
        _isHeld = false;
        if (_isInFlight()) _settle(WAD << 16 | 1);
        _isHeld = false;
        (uint256 settled, uint256 results) = _totals();
        for (uint256 i = 0; i < _actors.length; ++i) {
            address actor = _actors[i];
            (uint256 low, uint256 high) = _bounds(actor);
            for (uint256 j = 0; j < _entries[actor].length; ++j) {
                _cancel(actor, j);
            }
            _cancelKept(actor);
            _take(actor, 0);
            _takeRest(actor);
            vm.assertTrue(_got[actor] >= low && _got[actor] <= high, "everybody has his part of every batch");
        }
        vm.assertEq(_gotAll, results, "all results were claimed, to the wei");
        vm.assertEq(_returned + settled, _joined, "all amounts ended, to the wei");
    }

    /// @dev Amounts that were settled, or went down; and all results.
    function _totals() private view returns (uint256 settled, uint256 results) {
        for (uint256 id = 1; id < _books.length; ++id) {
            Book storage book = _books[id];
            if (book.state == State.REFUNDED) settled += book.amount - book.result;
            if (book.state != State.SETTLED) continue;
            settled += book.amount - book.amount * book.unfilled / WAD;
            results += book.result;
        }
    }

    /// @dev The exact part of each batch, and what rounding can have added or taken: a wei of result of each claim, and a
    /// wei of the amount of each where parts were cut.
    function _bounds(address actor) private view returns (uint256 low, uint256 high) {
        uint256 slack;
        for (uint256 i = 0; i < _entries[actor].length; ++i) {
            Entry storage e = _entries[actor][i];
            Book storage book = _books[e.batch];
            uint256 part = _settled(e);
            if (part == 0) continue;
            uint256 whole = book.amount - book.amount * book.unfilled / WAD;
            low += part * book.result / whole;
            slack += 5 + (book.unfilled > 0 ? 5 * (book.result / whole + 1) : 0);
        }
        // Claims of two batches that were taken together in parts are rounded once for each part.
        high = low + slack + STEPS;
        low = low > slack + STEPS ? low - slack - STEPS : 0;
    }
}
