"""Values between the wire and the core: exact both ways, and every malformed one is refused."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.decimal_pb2 import Decimal as DecimalMessage
from google.type.money_pb2 import Money as MoneyMessage
from hypothesis import given
from hypothesis import strategies as st

from imprest.v1 import account_pb2, reservation_pb2, usage_pb2
from imprest.v1.account_service_pb2 import GetBalanceRequest
from imprest.v1.ledger_service_pb2 import CommitRequest, ReserveRequest
from imprest_client.money import to_decimal
from imprest_client.money import to_money as money_of_decimal
from imprest_server.core.errors import AmountOutOfRange, ImprestError, InvalidArgument
from imprest_server.core.ids import AccountId, ReservationId, TenantId, format_reservation_id
from imprest_server.core.money import MAX_NANOS, Money, format_nanos
from imprest_server.ledger.model import Account, AccountState, OverrunPolicy, TransactionKind
from imprest_server.ledger.operations import AccountSettings
from imprest_server.transport import convert, resources
from imprest_server.transport.account_settings import given_settings, masked_settings
from imprest_server.transport.usage import parse_usage, to_usage_line

NANOS = st.integers(-MAX_NANOS, MAX_NANOS)
TIMES = st.datetimes(min_value=datetime(1, 1, 1), max_value=datetime(9999, 12, 31, 23, 59, 59), timezones=st.just(UTC))  # noqa: DTZ001


def refused(error: pytest.ExceptionInfo[ImprestError]) -> str:
    assert isinstance(error.value, InvalidArgument)
    return error.value.field


# ---- money ----------------------------------------------------------------------------------------------------


@given(NANOS)
def test_money_survives_the_wire(nanos: int) -> None:
    message = convert.to_money("USD", nanos)
    assert abs(message.nanos) < 10**9
    assert message.units * message.nanos >= 0
    assert convert.parse_money(message, "amount") == Money("USD", nanos)


@given(NANOS)
def test_client_and_server_read_the_same_amount(nanos: int) -> None:
    message = convert.to_money("USD", nanos)
    assert f"{to_decimal(message):f}" == format_nanos(nanos)
    assert money_of_decimal(to_decimal(message), "USD") == message


@pytest.mark.parametrize(
    ("units", "nanos"),
    [(1, -1), (-1, 1), (0, 10**9), (0, -(10**9)), (5, 2_000_000_000)],
)
def test_money_that_contradicts_itself(units: int, nanos: int) -> None:
    with pytest.raises(InvalidArgument) as error:
        convert.parse_money(MoneyMessage(currency_code="USD", units=units, nanos=nanos), "amount")
    assert refused(error) == "amount.nanos"


def test_the_edges_of_money() -> None:
    assert convert.parse_money(MoneyMessage(units=2**63 - 1, nanos=999_999_999), "amount").nanos == MAX_NANOS
    assert convert.parse_money(MoneyMessage(units=1 - 2**63, nanos=-999_999_999), "amount").nanos < 0
    with pytest.raises(AmountOutOfRange):
        convert.parse_money(MoneyMessage(units=-(2**63)), "amount")


def test_an_absent_amount_is_not_zero() -> None:
    assert convert.parse_amount(ReserveRequest(), "min_amount") is None
    with pytest.raises(InvalidArgument) as error:
        convert.required_amount(ReserveRequest())
    assert refused(error) == "amount"
    assert convert.required_amount(ReserveRequest(amount=MoneyMessage(currency_code="USD"))) == Money("USD", 0)


@pytest.mark.parametrize("amount", ["1.0000000001", "NaN", "Infinity", "1e30", "", "one", Decimal("-1e-10")])
def test_the_client_refuses_what_money_cannot_carry(amount: str | Decimal) -> None:
    with pytest.raises(ValueError, match=r"amount|range"):
        money_of_decimal(amount, "USD")


def test_the_client_refuses_floats() -> None:
    with pytest.raises(TypeError, match="float"):
        money_of_decimal(0.1, "USD")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("amount", "units", "nanos"), [("1.250", 1, 250_000_000), ("-0.5", 0, -500_000_000), (7, 7, 0)]
)
def test_the_client_writes_amounts(amount: str | int, units: int, nanos: int) -> None:
    assert money_of_decimal(amount, "EUR") == MoneyMessage(currency_code="EUR", units=units, nanos=nanos)


# ---- times ----------------------------------------------------------------------------------------------------


@given(TIMES)
def test_times_survive_the_wire(instant: datetime) -> None:
    request = GetBalanceRequest(as_of=convert.to_time(instant))
    assert convert.parse_time(request, "as_of") == instant


def test_a_time_is_truncated_to_microseconds_towards_the_past() -> None:
    request = GetBalanceRequest(as_of=Timestamp(seconds=-1, nanos=999_999_999))
    assert convert.parse_time(request, "as_of") == datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "nanos"), [(253_402_300_800, 0), (-62_135_596_801, 0), (0, -1), (0, 10**9), (2**62, 0)]
)
def test_a_time_out_of_range(seconds: int, nanos: int) -> None:
    with pytest.raises(InvalidArgument) as error:
        convert.parse_time(GetBalanceRequest(as_of=Timestamp(seconds=seconds, nanos=nanos)), "as_of")
    assert refused(error) == "as_of"


@given(st.timedeltas(timedelta(days=-3_652_000), timedelta(days=3_652_000)))
def test_durations_are_read_exactly(duration: timedelta) -> None:
    message = Duration()
    message.FromTimedelta(duration)
    assert convert.parse_duration(ReserveRequest(ttl=message), "ttl") == duration


@pytest.mark.parametrize(("nanos", "micros"), [(1_999, 1), (-1_999, -1), (999, 0), (-999, 0)])
def test_a_duration_is_truncated_to_microseconds_towards_zero(nanos: int, micros: int) -> None:
    parsed = convert.parse_duration(ReserveRequest(ttl=Duration(nanos=nanos)), "ttl")
    assert parsed == timedelta(microseconds=micros)


@pytest.mark.parametrize(
    ("seconds", "nanos"), [(1, -1), (-1, 1), (0, 10**9), (0, -(10**9)), (315_576_000_001, 0), (-(2**63), 0)]
)
def test_a_duration_that_is_none(seconds: int, nanos: int) -> None:
    with pytest.raises(InvalidArgument) as error:
        convert.parse_duration(ReserveRequest(ttl=Duration(seconds=seconds, nanos=nanos)), "ttl")
    assert refused(error) == "ttl"


def test_absent_times() -> None:
    assert convert.parse_time(GetBalanceRequest(), "as_of") is None
    assert convert.parse_duration(ReserveRequest(), "ttl") is None


# ---- enums and ids --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mapped", "proto"),
    [
        (resources.ACCOUNT_STATE, account_pb2.AccountState),
        (resources.OVERRUN_POLICY, account_pb2.OverrunPolicy),
        (resources.RESERVATION_STATE, reservation_pb2.ReservationState),
        (resources.ON_EXPIRY, reservation_pb2.OnExpiry),
        (resources.TRANSACTION_KIND, resources.transaction_pb2.TransactionKind),
        (resources.LEDGER_ACCOUNT_CODE, resources.transaction_pb2.LedgerAccountCode),
    ],
)
def test_enums_are_the_same_on_both_sides(mapped: convert.EnumMap[TransactionKind], proto: type) -> None:
    assert sorted([0, *mapped.to_proto.values()]) == sorted(proto.values())  # type: ignore[attr-defined]
    assert all(mapped.parse(number, "x") is member for member, number in mapped.to_proto.items())
    assert mapped.parse(0, "x") is None
    with pytest.raises(InvalidArgument) as error:
        mapped.parse(99, "x")
    assert refused(error) == "x"


def test_ids() -> None:
    reservation_id = ReservationId(UUID(int=7))
    assert convert.parse_reservation(format_reservation_id(reservation_id)) == reservation_id
    assert convert.parse_account_id("Acme:eu-1._x") == "Acme:eu-1._x"


@pytest.mark.parametrize("text", ["", "rsv_zzz", "rsv_" + "A" * 32, "txn_" + "0" * 32, "0" * 32, "rsv_" + "0" * 33])
def test_ids_that_are_none(text: str) -> None:
    with pytest.raises(InvalidArgument):
        convert.parse_reservation(text)
    with pytest.raises(InvalidArgument):
        convert.parse_transaction(text.replace("txn_", "rsv_"))


@pytest.mark.parametrize("text", ["", "a b", "ä", "x" * 65, "a\0", "a\n", "a/b"])
def test_account_ids_that_are_none(text: str) -> None:
    with pytest.raises(InvalidArgument) as error:
        convert.parse_account_id(text, "from_account_id")
    assert refused(error) == "from_account_id"


# ---- account settings -----------------------------------------------------------------------------------------


def test_only_the_settings_that_are_set_are_given() -> None:
    assert given_settings(account_pb2.Account(account_id="a", currency_code="USD")) == {}
    message = account_pb2.Account(
        max_concurrent_calls=0,
        max_overrun=convert.to_money("USD", 0),
        overrun_policy=account_pb2.OVERRUN_POLICY_CAP,
        time_zone="Europe/Berlin",
        state=account_pb2.ACCOUNT_STATE_CLOSED,
    )
    assert given_settings(message) == {
        "max_concurrent_calls": 0,
        "max_overrun": Money("USD", 0),
        "overrun_policy": OverrunPolicy.CAP,
        "time_zone": "Europe/Berlin",
    }


def test_a_mask_takes_settings_away() -> None:
    names = ["customer_id", "overrun_policy", "max_overrun", "max_concurrent_calls", "time_zone", "labels"]
    assert masked_settings(account_pb2.Account(display_name="not meant"), names) == {
        "customer_id": "",
        "overrun_policy": OverrunPolicy.COLLECT,
        "max_overrun": None,
        "max_concurrent_calls": None,
        "time_zone": "UTC",
        "labels": {},
    }


@pytest.mark.parametrize("path", ["account_id", "currency_code", "parent_account_id", "state", "labels.x", "*", ""])
def test_a_mask_names_settings_only(path: str) -> None:
    with pytest.raises(InvalidArgument) as error:
        masked_settings(account_pb2.Account(), ["display_name", path])
    assert refused(error) == "update_mask"


def test_every_setting_can_be_named() -> None:
    names = AccountSettings.__annotations__
    assert set(masked_settings(account_pb2.Account(), names)) == set(names)
    assert set(names) <= set(account_pb2.Account.DESCRIPTOR.fields_by_name)


# ---- resources ------------------------------------------------------------------------------------------------


def test_limits_that_are_not_set_are_absent() -> None:
    account = Account(tenant_id=TenantId("t"), account_id=AccountId("a"), currency_code="USD")
    message = resources.to_account(account)
    for name in ("max_overrun", "max_concurrent_calls", "low_balance_threshold"):
        assert not message.HasField(name), name
    assert message.HasField("credit_limit")
    assert message.state == resources.ACCOUNT_STATE.to_proto[AccountState.ACTIVE]


# ---- usage ----------------------------------------------------------------------------------------------------


@given(st.decimals(min_value=0, max_value=10**20, allow_nan=False, allow_infinity=False, places=18))
def test_a_quantity_survives_the_wire(quantity: Decimal) -> None:
    line = usage_pb2.UsageLine(meter="llm.input_tokens", quantity=convert.to_decimal(quantity))
    assert convert.parse_decimal(line, "quantity") == quantity
    assert "E" not in line.quantity.value


@pytest.mark.parametrize(
    "text", ["", "NaN", "Infinity", "1e999", "1,5", " 1", "1_000", "٣", "0x1", "1" * 65, ".", "--1"]
)
def test_a_decimal_that_is_none(text: str) -> None:
    line = usage_pb2.UsageLine(quantity=DecimalMessage(value=text))
    with pytest.raises(InvalidArgument) as error:
        convert.parse_decimal(line, "quantity", "usage.lines[3].")
    assert refused(error) == "usage.lines[3].quantity"


@pytest.mark.parametrize(("text", "shown"), [("100", "100"), ("0.50", "0.5"), ("1E+3", "1000"), ("5e-7", "0.0000005")])
def test_a_decimal_is_shown_plainly(text: str, shown: str) -> None:
    assert convert.to_decimal(Decimal(text)).value == shown


def test_a_usage_report_is_read_and_shown_again() -> None:
    start = Timestamp(seconds=1_000, nanos=5_000)
    message = usage_pb2.UsageLine(
        line_id="stt-1",
        meter="stt.seconds",
        provider="deepgram",
        model="nova-3",
        quantity=DecimalMessage(value="12.25"),
        destination="4930",
        operation="transcribe",
        labels={"agent": "a1"},
    )
    request = CommitRequest(usage=usage_pb2.UsageReport(lines=[message], start_time=start, labels={"lead": "l1"}))
    report = parse_usage(request, "usage")
    assert report is not None
    assert (report.start_time, report.end_time) == (datetime(1970, 1, 1, 0, 16, 40, 5, tzinfo=UTC), None)
    assert report.labels == {"lead": "l1"}
    assert [to_usage_line(line) for line in report.lines] == [message]


def test_a_usage_line_needs_its_quantity() -> None:
    request = CommitRequest(usage=usage_pb2.UsageReport(lines=[usage_pb2.UsageLine(meter="stt.seconds")]))
    with pytest.raises(InvalidArgument) as error:
        parse_usage(request, "usage")
    assert refused(error) == "usage.lines[0].quantity"
