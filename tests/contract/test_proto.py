"""The shape of the API: rules for every message and RPC, and the names that are binding.

buf checks style, comments and compatibility; this file checks what only Imprest knows.
"""

import importlib
import pkgutil
from collections import Counter
from collections.abc import Iterable, Iterator

import pytest
from google.protobuf.descriptor import (
    Descriptor,
    EnumDescriptor,
    FieldDescriptor,
    FileDescriptor,
    MethodDescriptor,
    ServiceDescriptor,
)
from google.protobuf.descriptor_pb2 import MethodOptions
from google.type.money_pb2 import Money

import imprest.v1
from imprest.v1.account_pb2 import Account
from imprest.v1.ledger_service_pb2 import CommitRequest, ReserveRequest

FILES: list[FileDescriptor] = [
    importlib.import_module(f"imprest.v1.{module.name}").DESCRIPTOR
    for module in pkgutil.iter_modules(imprest.v1.__path__)
    if module.name.endswith("_pb2")
]
SERVICES: list[ServiceDescriptor] = [service for file in FILES for service in file.services_by_name.values()]
METHODS: list[MethodDescriptor] = [method for service in SERVICES for method in service.methods]
BATCH_MESSAGES = {"BatchOperation", "BatchResult"}
"""They wrap the requests and replies of the others, which have their keys."""
MUTATING = [
    m for m in METHODS if m.GetOptions().idempotency_level == MethodOptions.IDEMPOTENT and m.name != "BatchExecute"
]
POSTING = [m for m in MUTATING if m.containing_service.name not in ("PricingService", "BudgetService")]
"""Those that go through the posting engine. Changes of prices and budgets touch no account: no balance, no place in a
batch."""
READING = [m for m in METHODS if m.GetOptions().idempotency_level == MethodOptions.NO_SIDE_EFFECTS]
LISTING = [m for m in METHODS if m.name.startswith("List")]


def messages() -> Iterator[Descriptor]:
    """All messages, those of map entries left out."""
    waiting = [message for file in FILES for message in file.message_types_by_name.values()]
    for message in waiting:
        if not message.GetOptions().map_entry:
            yield message
            waiting.extend(message.nested_types)


def enums() -> list[EnumDescriptor]:
    top = [enum for file in FILES for enum in file.enum_types_by_name.values()]
    return top + [enum for message in messages() for enum in message.enum_types]


FIELDS: list[FieldDescriptor] = [field for message in messages() for field in message.fields]
MESSAGES = {message.name: message for message in messages()}
ENUMS = {enum.name: enum for enum in enums()}


def words(text: str) -> set[str]:
    return set(text.split())


def is_of(field: FieldDescriptor, type_name: str) -> bool:
    return field.message_type is not None and field.message_type.full_name == type_name


def names(descriptors: Iterable[MethodDescriptor]) -> list[str]:
    return [descriptor.name for descriptor in descriptors]


# ---- what this release has ---------------------------------------------------------------------------------

RPCS = {
    "PricingService": "ListMeters CreatePriceBook GetPriceBook ListPriceBooks ListPriceVersions PublishPrices"
    " ImportPrices ListPrices AssignPriceBook ListPriceAssignments SetOverride SetExchangeRate Rerate"
    " CreatePlan ListPlans Subscribe Unsubscribe ListSubscriptions Quote",
    "UsageService": "RecordUsage TrueUpCost",
    "BudgetService": "SetBudget GetBudgetStatus ListBudgets DeleteBudget ResumeCalls BudgetAlerts ListAlerts"
    " AcknowledgeAlert CreateChannel UpdateChannel GetChannel ListChannels DeleteChannel RotateChannelSecret"
    " TestChannel ListDeliveries ResendDelivery",
    "LedgerService": "Reserve Extend Commit Void Charge Refund GetReservation ListReservations BatchExecute",
    "AccountService": "CreateAccount GetAccount UpdateAccount ListAccounts FreezeAccount UnfreezeAccount"
    " CloseAccount GetBalance AddCredit ReverseCredit GrantCredit Adjust Withdraw Transfer ListTransactions"
    " GetTransaction GetTrialBalance",
}

# message → the fields it must have; it may have more.
CONTRACT = {
    "Balance": "account_id currency_code wallet held available receivable credit_limit as_of",
    "Reservation": "reservation_id account_id call_id state amount captured used_so_far create_time"
    " expire_time on_expiry labels",
    "Transaction": "transaction_id account_id seq kind postings wallet_after reservation_id call_id reason"
    " external_reference labels effective_time create_time chain_hash",
    "Posting": "debit credit amount",
    "Account": "account_id customer_id display_name currency_code parent_account_id credit_limit"
    " overrun_policy max_overrun max_concurrent_calls low_balance_threshold time_zone labels",
    "ChargeBreakdown": "charged from_hold from_available receivable absorbed provider_cost lines",
    "CreateAccountRequest": "account idempotency_key",
    "UpdateAccountRequest": "account update_mask idempotency_key",
    "FreezeAccountRequest": "account_id idempotency_key",
    "UnfreezeAccountRequest": "account_id idempotency_key",
    "CloseAccountRequest": "account_id forfeit idempotency_key",
    "GetBalanceRequest": "account_id as_of",
    "GetBalanceResponse": "balance",
    "AddCreditRequest": "account_id amount payment_fee external_reference idempotency_key labels",
    "ReverseCreditRequest": "account_id amount external_reference reason idempotency_key",
    "GrantCreditRequest": "account_id amount external_reference idempotency_key labels",
    "AdjustRequest": "account_id amount reason external_reference idempotency_key labels",
    "WithdrawRequest": "account_id amount external_reference idempotency_key labels",
    "TransferRequest": "from_account_id to_account_id amount idempotency_key reason",
    "TransferResponse": "account balance to_balance transaction_id replayed",
    "ListTransactionsRequest": "account_id page_size page_token reservation_id",
    "ListTransactionsResponse": "transactions next_page_token",
    "GetTransactionResponse": "transaction refunded_by refund_of",
    "ReserveRequest": "account_id idempotency_key call_id amount estimate min_amount ttl on_expiry labels",
    "ReserveResponse": "reservation balance affordable_duration final_unit replayed",
    "ExtendRequest": "reservation_id idempotency_key new_total estimate_total used_so_far used ttl",
    "ExtendResponse": "reservation balance affordable_duration final_unit replayed denial_reason",
    "CommitRequest": "reservation_id idempotency_key amount usage final effective_time",
    "CommitResponse": "reservation balance charge transaction_id late replayed",
    "VoidRequest": "reservation_id idempotency_key reason",
    "VoidResponse": "reservation balance replayed",
    "ChargeRequest": "account_id idempotency_key call_id amount usage effective_time labels",
    "ChargeResponse": "balance charge transaction_id replayed",
    "RefundRequest": "transaction_id reservation_id idempotency_key amount reason reverse_cost",
    "RefundResponse": "transaction balance refunded_total replayed",
    "RecordUsageRequest": "account_id idempotency_key call_id amount usage effective_time labels",
    "TrueUpCostRequest": "transaction_id reservation_id idempotency_key cost reason lines",
    "LineCost": "line_id cost",
    "TrueUpCostResponse": "transaction balance difference replayed",
    "RecordUsageResponse": "balance charge transaction_id replayed",
    "UsageReport": "lines start_time end_time labels",
    "UsageLine": "line_id meter provider model quantity destination operation labels",
    "Price": "meter provider model destination_prefix charge_model unit_price per_quantity tiers increment_first"
    " increment_next minimum_quantity connect_fee minimum_charge maximum_charge free_quantity margin_percent markup",
    "PriceTier": "up_to unit_price flat_fee",
    "PublishPricesRequest": "price_book_id effective_time prices replace validate_only idempotency_key",
    "PublishPricesResponse": "version differences",
    "QuoteRequest": "account_id price_book_id usage at",
    "QuoteResponse": "price cost margin margin_percent lines",
    "RatedLine": "line price cost exact_price exact_cost price_version cost_version match",
}

CONTRACT |= {
    "Budget": "budget_id tenant account_id label meter_prefix period time_zone limit thresholds",
    "BudgetThreshold": "percent level action action_label",
    "BudgetStatus": "budget spent held remaining exhaustion_time period_start period_end fired_thresholds stopped",
    "BudgetAlertsRequest": "resume_token account_id min_level kinds start_time",
    "BudgetAlertsResponse": "alert checkpoint resume_token",
    "Alert": "alert_id sequence kind level account_id budget_id threshold spent held limit balance period_start"
    " period_end create_time call_ids",
}

# (message, member) of every oneof; an id in two forms and what later gets a second form must be in one.
ONEOFS = {
    ("ReserveRequest", "amount"),
    ("ReserveRequest", "estimate"),
    ("ExtendRequest", "new_total"),
    ("ExtendRequest", "estimate_total"),
    ("ExtendRequest", "used_so_far"),
    ("ExtendRequest", "used"),
    ("CommitRequest", "amount"),
    ("CommitRequest", "usage"),
    ("ChargeRequest", "amount"),
    ("ChargeRequest", "usage"),
    ("RecordUsageRequest", "amount"),
    ("RecordUsageRequest", "usage"),
    ("RefundRequest", "transaction_id"),
    ("RefundRequest", "reservation_id"),
    ("TrueUpCostRequest", "transaction_id"),
    ("TrueUpCostRequest", "reservation_id"),
    ("GetTrialBalanceRequest", "account_id"),
    ("Price", "margin_percent"),
    ("Price", "markup"),
    ("ImportPricesRequest", "litellm_json"),
    ("ImportPricesRequest", "csv"),
    ("ListPricesRequest", "version_id"),
    ("ListPricesRequest", "at"),
    ("AssignPriceBookRequest", "account_id"),
    ("AssignPriceBookRequest", "tenant_default"),
    ("ListPriceAssignmentsRequest", "account_id"),
    ("ListPriceAssignmentsRequest", "tenant_default"),
    ("QuoteRequest", "account_id"),
    ("QuoteRequest", "price_book_id"),
    ("Budget", "tenant"),
    ("Budget", "account_id"),
    ("Budget", "label"),
    ("BudgetAlertsRequest", "resume_token"),
    ("BudgetAlertsRequest", "start_time"),
    ("BudgetAlertsResponse", "alert"),
    ("BudgetAlertsResponse", "checkpoint"),
    ("TrialBalanceLine", "debit_balance"),
    ("TrialBalanceLine", "credit_balance"),
}


def test_release_has_exactly_these_rpcs() -> None:
    assert {s.name: names(s.methods) for s in SERVICES} == {s: rpcs.split() for s, rpcs in RPCS.items()}


@pytest.mark.parametrize(("message", "fields"), CONTRACT.items(), ids=list(CONTRACT))
def test_message_has_the_fields_of_the_design(message: str, fields: str) -> None:
    assert words(fields) - set(MESSAGES[message].fields_by_name) == set()


@pytest.mark.parametrize(
    "rpc", [m for m in MUTATING if m.containing_service.name == "AccountService"], ids=lambda rpc: rpc.name
)
def test_account_operation_answers_alike(rpc: MethodDescriptor) -> None:
    names_in_order = [field.name for field in rpc.output_type.fields]
    assert names_in_order[:4] == ["account", "balance", "transaction_id", "replayed"]


def test_alternatives_are_members_of_a_oneof() -> None:
    real = {
        (field.containing_type.name, field.name)
        for field in FIELDS
        if field.containing_oneof is not None
        and not field.containing_oneof.name.startswith("_")
        and field.containing_type.name not in BATCH_MESSAGES
    }
    assert real == ONEOFS


def test_extend_says_why_it_denied() -> None:
    assert MESSAGES["ExtendResponse"].fields_by_name["denial_reason"].enum_type.name == "ErrorReason"


# ---- requests and replies ----------------------------------------------------------------------------------


def test_every_rpc_says_whether_it_changes_anything() -> None:
    # Each TestChannel sends.
    assert sorted([*names(MUTATING), *names(READING), "BatchExecute", "TestChannel"]) == sorted(names(METHODS))
    reading = {name for name in names(METHODS) if name.startswith(("Get", "List", "Quote"))}
    assert reading | {"BudgetAlerts"} == set(names(READING))


def test_no_message_is_shared_between_rpcs() -> None:
    uses = Counter(message.full_name for method in METHODS for message in (method.input_type, method.output_type))
    assert set(uses.values()) == {1}
    embedded = {
        field.message_type.full_name
        for field in FIELDS
        if field.message_type is not None and field.containing_type.name not in BATCH_MESSAGES
    }
    assert embedded & set(uses) == set()


@pytest.mark.parametrize("rpc", POSTING, ids=lambda rpc: rpc.name)
def test_posting_rpc_answers_with_balance(rpc: MethodDescriptor) -> None:
    assert is_of(rpc.output_type.fields_by_name["balance"], "imprest.v1.Balance")


@pytest.mark.parametrize("rpc", MUTATING, ids=lambda rpc: rpc.name)
def test_mutating_rpc_has_a_key_and_answers_with_replayed(rpc: MethodDescriptor) -> None:
    key = rpc.input_type.fields_by_name["idempotency_key"]
    assert key.type == FieldDescriptor.TYPE_STRING
    assert rpc.output_type.fields_by_name["replayed"].type == FieldDescriptor.TYPE_BOOL


def test_a_batch_can_hold_every_posting_request() -> None:
    operations = {f.name: f for f in MESSAGES["BatchOperation"].fields}
    results = {f.name: f for f in MESSAGES["BatchResult"].fields}
    assert results.pop("error").message_type.full_name == "google.rpc.Status"
    assert {name: f.number for name, f in operations.items()} == {name: f.number for name, f in results.items()}
    assert {f.message_type.name for f in operations.values()} == {m.input_type.name for m in POSTING}
    assert {f.message_type.name for f in results.values()} == {m.output_type.name for m in POSTING}


@pytest.mark.parametrize("rpc", READING, ids=lambda rpc: rpc.name)
def test_reading_rpc_has_no_key(rpc: MethodDescriptor) -> None:
    assert "idempotency_key" not in rpc.input_type.fields_by_name
    assert "replayed" not in rpc.output_type.fields_by_name


@pytest.mark.parametrize("rpc", LISTING, ids=lambda rpc: rpc.name)
def test_list_paginates(rpc: MethodDescriptor) -> None:
    request, reply = rpc.input_type.fields_by_name, rpc.output_type.fields_by_name
    assert request["page_size"].type == FieldDescriptor.TYPE_INT32
    assert request["page_token"].type == FieldDescriptor.TYPE_STRING
    assert reply["next_page_token"].type == FieldDescriptor.TYPE_STRING
    assert [field.number for field in reply.values() if field.is_repeated] == [1]


# ---- types of fields ---------------------------------------------------------------------------------------

AMOUNTS = words(
    """
    amount min_amount new_total used_so_far captured absorbed wallet held available receivable credit_limit
    max_overrun low_balance_threshold wallet_after charged from_hold from_available provider_cost payment_fee
    refunded_total debit_balance credit_balance total_debits total_credits price cost margin spent remaining limit
    difference price_before price_after cost_before cost_after
    """
)
#: A message elsewhere; in an alert all that it knows of the balance is one amount.
ALSO_MONEY = {"imprest.v1.Alert.balance"}


def test_amounts_are_money_and_money_is_an_amount() -> None:
    money = {field.full_name for field in FIELDS if is_of(field, "google.type.Money")}
    assert money == {field.full_name for field in FIELDS if field.name in AMOUNTS} | ALSO_MONEY
    assert {field.name for field in FIELDS if is_of(field, "google.type.Money")} == AMOUNTS | {"balance"}


def test_times_are_timestamps_and_spans_durations() -> None:
    others = ("as_of", "at", "period_start", "period_end")
    instants = {f.full_name for f in FIELDS if f.name.endswith("_time") or f.name in others}
    assert {f.full_name for f in FIELDS if is_of(f, "google.protobuf.Timestamp")} == instants
    spans = {f.full_name for f in FIELDS if f.name == "ttl" or f.name.endswith(("_duration", "_interval"))}
    assert {f.full_name for f in FIELDS if is_of(f, "google.protobuf.Duration")} == spans


def test_nothing_is_a_float() -> None:
    floats = {FieldDescriptor.TYPE_FLOAT, FieldDescriptor.TYPE_DOUBLE}
    assert [field.full_name for field in FIELDS if field.type in floats] == []


def test_labels_are_maps_of_strings() -> None:
    for field in (field for field in FIELDS if field.name == "labels"):
        entry = field.message_type
        assert entry.GetOptions().map_entry
        assert {part.type for part in entry.fields} == {FieldDescriptor.TYPE_STRING}


def test_absent_is_not_zero() -> None:
    assert not ReserveRequest().HasField("amount")
    assert ReserveRequest(amount=Money(currency_code="USD")).HasField("amount")
    assert CommitRequest.FromString(CommitRequest(amount=Money()).SerializeToString()).WhichOneof("actual") == "amount"
    assert CommitRequest().WhichOneof("actual") is None
    assert not CommitRequest().HasField("final")
    assert CommitRequest.FromString(CommitRequest(final=False).SerializeToString()).HasField("final")
    account = Account.FromString(Account(max_concurrent_calls=0, max_overrun=Money()).SerializeToString())
    assert account.HasField("max_concurrent_calls")
    assert account.HasField("max_overrun")
    assert not account.HasField("low_balance_threshold")


# ---- enums -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("enum", enums(), ids=lambda enum: enum.name)
def test_enum_starts_unspecified_and_has_no_gaps(enum: EnumDescriptor) -> None:
    assert enum.values_by_number[0].name.endswith("_UNSPECIFIED")
    assert [value.number for value in enum.values] == list(range(len(enum.values)))


def values(enum: EnumDescriptor, prefix: str) -> set[str]:
    return {value.name.removeprefix(prefix) for value in enum.values} - {"UNSPECIFIED"}


def test_chart_of_a_book() -> None:
    assert values(ENUMS["LedgerAccountCode"], "LEDGER_ACCOUNT_CODE_") == words(
        "CASH RECEIVABLE PROVIDER_COST FEE_COST REFUNDS PROMOTION_COST ADJUSTMENTS OVERRUN_LOSS"
        " WALLET REVENUE PROVIDER_PAYABLE FEE_PAYABLE BREAKAGE CLEARING"
    )


def test_reasons_of_errors() -> None:
    denials = (
        "INSUFFICIENT_FUNDS BUDGET_EXCEEDED ACCOUNT_FROZEN ACCOUNT_CLOSED ACCOUNT_NOT_EMPTY RECEIVABLE_OPEN"
        " CALL_LIMIT_REACHED CURRENCY_MISMATCH CALLS_STOPPED PRICE_NOT_FOUND OVERRUN_REJECTED RESERVATION_COMMITTED"
        " RESERVATION_VOIDED RESERVATION_EXPIRED REFUND_EXCEEDS_CAPTURE CHANNEL_NOT_CONFIGURED"
    )
    conflicts = (
        "IDEMPOTENCY_KEY_REUSED EXTERNAL_REFERENCE_USED ACCOUNT_EXISTS USAGE_LINE_REUSED PRICE_BOOK_EXISTS"
        " CHANNEL_EXISTS"
    )
    others = (
        "INVALID_ARGUMENT NOT_FOUND UNAUTHENTICATED PERMISSION_DENIED CONFLICT DATABASE_UNAVAILABLE DRAINING"
        " QUEUE_FULL OUT_OF_RANGE RESUME_TOKEN_TOO_OLD SLOW_READER DEADLINE_TOO_SHORT INTERNAL REPLY_TOO_LARGE"
    )
    assert values(ENUMS["ErrorReason"], "ERROR_REASON_") == words(f"{denials} {conflicts} {others}")
