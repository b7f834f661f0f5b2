"""Hypothesis strategies for random operations, in the format of scenario steps.

`steps()` is one operation with random aliases, for a stateful test; `programs()` is a whole run with its accounts,
which leans towards the interesting: overruns, due holds, late commits, refunds between the two, debts, retries.

Times are chosen so that a running clock does not matter: every time to live is an odd multiple of half a minute,
every advance is whole minutes, so a deadline is never nearer than half a minute to an operation.
"""

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

Step = dict[str, Any]

ACCOUNTS = ("main", "b")
HOLDS = ("h1", "h2", "h3", "h4")
TRANSACTIONS = ("t1", "t2", "t3")

_AMOUNTS = ("0.000000001", "0.5", "1", "2", "3", "5", "8", "13")
_TTLS = (30, 90, 3630)
_ADVANCES = (60, 120, 3600, 604_800, 604_860)
_POLICIES = ("COLLECT", "CAP", "REJECT")

account_names = st.sampled_from(ACCOUNTS)
hold_names = st.sampled_from(HOLDS)
transaction_names = st.sampled_from(TRANSACTIONS)
amounts = st.sampled_from(_AMOUNTS)
"""Amounts that must not be zero."""
amounts_or_zero = st.sampled_from(("0", *_AMOUNTS))
ttls = st.sampled_from(_TTLS)


@dataclass(frozen=True)
class Program:
    """Accounts by alias with their settings and first credit, and the steps to take."""

    accounts: dict[str, dict[str, Any]]
    steps: list[Step]


def _step(
    op: str, *, optional: dict[str, st.SearchStrategy[Any]] | None = None, **fields: st.SearchStrategy[Any]
) -> st.SearchStrategy[Step]:
    """Steps of one operation; a field whose name is a keyword of Python is given with an underscore after it."""
    required: dict[str, st.SearchStrategy[Any]] = {"op": st.just(op)}
    required.update({name.removesuffix("_"): strategy for name, strategy in fields.items()})
    return st.fixed_dictionaries(required, optional=optional or {})


_reserve = _step(
    "reserve",
    account=account_names,
    amount=amounts_or_zero,
    ttl=ttls,
    as_=hold_names,
    optional={"on_expiry": st.sampled_from(("CAPTURE_USED", "RELEASE")), "min_amount": st.just("0.5")},
)
_extend = _step(
    "extend", hold=hold_names, optional={"new_total": amounts_or_zero, "used": amounts_or_zero, "ttl": ttls}
)
_commit = _step(
    "commit", hold=hold_names, amount=amounts_or_zero, txn_as=transaction_names, optional={"final": st.booleans()}
)
_capture = _step("commit", hold=hold_names, amount=amounts_or_zero, final=st.just(False))
_void = _step("void", hold=hold_names)
_charge = _step("charge", account=account_names, amount=amounts_or_zero, txn_as=transaction_names)
_record = _step("record_usage", account=account_names, amount=amounts_or_zero, txn_as=transaction_names)
_refunded = {"amount": amounts, "reverse_cost": st.booleans()}
_refund = _step("refund", of=hold_names, optional=_refunded)
_refund_transaction = _step("refund", of_transaction=transaction_names, optional=_refunded)
_true_up = _step("true_up_cost", of=hold_names, cost=amounts_or_zero)
_true_up_transaction = _step("true_up_cost", of_transaction=transaction_names, cost=amounts_or_zero)
_references = st.sampled_from(("r1", "r2"))
_credit = st.sampled_from(("add_credit", "reverse_credit", "grant_credit", "withdraw")).flatmap(
    lambda op: _step(op, account=account_names, amount=amounts, optional={"external_reference": _references})
)
_adjust = _step("adjust", account=account_names, amount=st.sampled_from((*_AMOUNTS, "-0.5", "-2", "-8")))
_transfer = _step("transfer", from_=account_names, to=account_names, amount=amounts)
_account = st.sampled_from(("freeze", "unfreeze", "unfreeze")).flatmap(lambda op: _step(op, account=account_names))
_close = _step("close", account=account_names, forfeit=st.booleans())
_update = _step(
    "update_account",
    account=account_names,
    optional={
        "credit_limit": amounts_or_zero,
        "overrun_policy": st.sampled_from(_POLICIES),
        "max_overrun": st.one_of(st.none(), amounts_or_zero),
        "max_concurrent_calls": st.sampled_from((None, 0, 1, 2, 5)),
    },
)
_policy = _step("update_account", account=account_names, overrun_policy=st.sampled_from(_POLICIES))
_read = _step("get_reservation", hold=hold_names)
_advance = _step("advance", seconds=st.sampled_from(_ADVANCES))

_WEIGHTED = (
    *[_reserve] * 5, *[_extend] * 4, *[_commit] * 5, _capture, _capture, _void, _charge, _record, _refund, _refund,
    _refund_transaction, _true_up, _true_up_transaction, _credit, _credit, _adjust, _transfer, _account, _close,
    _update, _read, *[_advance] * 3,
)  # fmt: skip


def steps() -> st.SearchStrategy[Step]:
    """One operation, or time passing. Aliases may not have a meaning yet: such an id is unknown."""
    return st.sampled_from(_WEIGHTED).flatmap(lambda strategy: strategy)


@st.composite
def _late_call(draw: st.DrawFn) -> list[Step]:
    """A call that expires and is committed late, with something in between."""
    hold = draw(hold_names)
    story = [draw(_reserve) | {"as": hold, "ttl": 30}]
    if draw(st.booleans()):
        story.append({"op": "commit", "hold": hold, "amount": draw(amounts_or_zero), "final": False})
    if draw(st.booleans()):
        story.append({"op": "extend", "hold": hold, "used": draw(amounts)})
    story.append({"op": "advance", "seconds": draw(st.sampled_from((60, 604_800)))})
    middle = st.one_of(
        *(_policy, _update, _credit, _charge, _close),
        _step("refund", of=st.just(hold), optional=_refunded),
        _step("true_up_cost", of=st.just(hold), cost=amounts_or_zero),
    )
    story += draw(st.lists(middle, max_size=2))
    story.append({"op": "commit", "hold": hold, "amount": draw(amounts_or_zero), "txn_as": draw(transaction_names)})
    story += draw(st.lists(_step("refund", of=st.just(hold), optional=_refunded), max_size=1))
    return story


@st.composite
def _debt(draw: st.DrawFn) -> list[Step]:
    """A call that overruns while another one holds credit."""
    account, first, second = draw(account_names), *draw(st.permutations(HOLDS))[:2]
    return [
        {"op": "reserve", "account": account, "as": first, "amount": draw(amounts_or_zero), "ttl": draw(ttls)},
        {"op": "reserve", "account": account, "as": second, "amount": draw(amounts_or_zero), "ttl": draw(ttls)},
        {"op": "commit", "hold": first, "amount": draw(st.sampled_from(("5", "8", "13")))},
        draw(st.one_of(_credit, _update, _void, _commit, _advance)),
    ]


@st.composite
def _running_call(draw: st.DrawFn) -> list[Step]:
    """A call that is extended, captured in parts and ended."""
    hold = draw(hold_names)
    parts = st.one_of(_extend, _extend, _capture, _account, _update)
    middle = [step | {"hold": hold} if "hold" in step else step for step in draw(st.lists(parts, max_size=4))]
    end = draw(st.one_of(_commit, _void, _advance))
    return [draw(_reserve) | {"as": hold}, *middle, end | {"hold": hold} if "hold" in end else end]


_settings = st.fixed_dictionaries(
    {"credit": st.sampled_from(("1", "5", "13", "21"))},
    optional={
        "credit_limit": amounts,
        "overrun_policy": st.sampled_from(_POLICIES),
        "max_overrun": amounts_or_zero,
        "max_concurrent_calls": st.sampled_from((1, 3)),
    },
)


@st.composite
def _meaningful(draw: st.DrawFn, step: Step, taken: list[Step]) -> Step:
    """The step with an alias that an earlier step may have given a meaning, if there is one."""
    for field, source in (("hold", "as"), ("of", "as"), ("of_transaction", "txn_as")):
        known = sorted({earlier[source] for earlier in taken if source in earlier})
        if field in step and known and step[field] not in known:
            return step | {field: draw(st.sampled_from(known))}
    return step


_USAGE = {"amount": "units", "new_total": "total_units", "used": "used_units"}
_PRICED = ("reserve", "extend", "commit", "charge", "record_usage")


@st.composite
def _measured(draw: st.DrawFn, step: Step) -> Step:
    """The step, of those that take usage half with usage in place of amounts, and now and then with a line's id."""
    if step["op"] not in _PRICED or not draw(st.booleans()):
        return step
    step = {_USAGE.get(name, name): value for name, value in step.items()}
    if step["op"] not in ("reserve", "extend") and draw(st.integers(0, 3)) == 0:
        step["line"] = draw(st.sampled_from(("l1", "l2")))
    return step


@st.composite
def programs(draw: st.DrawFn, max_stories: int = 12) -> Program:
    """A run of single operations and little stories, in which some operations are tried again.

    Every operation has a key of its own. A retry repeats an earlier operation with its key, and sometimes with
    other content, which has to be refused.
    """
    single = steps().map(lambda step: [step])
    stories = draw(
        st.lists(st.one_of(single, single, single, _late_call(), _running_call(), _debt()), max_size=max_stories)
    )
    taken: list[Step] = []
    for number, single_step in enumerate(step for story in stories for step in story):
        step = draw(_measured(draw(_meaningful(single_step, taken))))
        keyed = step["op"] not in ("advance", "get_reservation")
        taken.append(step | {"key": f"k{number}"} if keyed else step)
        again = [earlier for earlier in taken if "key" in earlier]
        if again and draw(st.integers(0, 9)) == 0:
            retry = draw(st.sampled_from(again))
            given = next((name for name in ("amount", "units") if name in retry), None)
            if given and draw(st.integers(0, 3)) == 0:
                retry = retry | {given: "7"}
            taken.append(retry)
    return Program({alias: draw(_settings) for alias in ACCOUNTS}, taken)
