import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.rpc import status_pb2 as _status_pb2
from google.type import money_pb2 as _money_pb2
from imprest.v1 import account_service_pb2 as _account_service_pb2
from imprest.v1 import balance_pb2 as _balance_pb2
from imprest.v1 import charge_pb2 as _charge_pb2
from imprest.v1 import errors_pb2 as _errors_pb2
from imprest.v1 import reservation_pb2 as _reservation_pb2
from imprest.v1 import transaction_pb2 as _transaction_pb2
from imprest.v1 import usage_pb2 as _usage_pb2
from imprest.v1 import usage_service_pb2 as _usage_service_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ReserveRequest(_message.Message):
    __slots__ = ("account_id", "idempotency_key", "call_id", "amount", "estimate", "min_amount", "ttl", "on_expiry", "labels")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    ESTIMATE_FIELD_NUMBER: _ClassVar[int]
    MIN_AMOUNT_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    ON_EXPIRY_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    idempotency_key: str
    call_id: str
    amount: _money_pb2.Money
    estimate: _usage_pb2.UsageReport
    min_amount: _money_pb2.Money
    ttl: _duration_pb2.Duration
    on_expiry: _reservation_pb2.OnExpiry
    labels: _containers.ScalarMap[str, str]
    def __init__(self, account_id: _Optional[str] = ..., idempotency_key: _Optional[str] = ..., call_id: _Optional[str] = ..., amount: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., estimate: _Optional[_Union[_usage_pb2.UsageReport, _Mapping]] = ..., min_amount: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., on_expiry: _Optional[_Union[_reservation_pb2.OnExpiry, str]] = ..., labels: _Optional[_Mapping[str, str]] = ...) -> None: ...

class ReserveResponse(_message.Message):
    __slots__ = ("reservation", "balance", "affordable_duration", "final_unit", "replayed")
    RESERVATION_FIELD_NUMBER: _ClassVar[int]
    BALANCE_FIELD_NUMBER: _ClassVar[int]
    AFFORDABLE_DURATION_FIELD_NUMBER: _ClassVar[int]
    FINAL_UNIT_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    reservation: _reservation_pb2.Reservation
    balance: _balance_pb2.Balance
    affordable_duration: _duration_pb2.Duration
    final_unit: bool
    replayed: bool
    def __init__(self, reservation: _Optional[_Union[_reservation_pb2.Reservation, _Mapping]] = ..., balance: _Optional[_Union[_balance_pb2.Balance, _Mapping]] = ..., affordable_duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., final_unit: bool = ..., replayed: bool = ...) -> None: ...

class ExtendRequest(_message.Message):
    __slots__ = ("reservation_id", "idempotency_key", "new_total", "estimate_total", "used_so_far", "used", "ttl")
    RESERVATION_ID_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    NEW_TOTAL_FIELD_NUMBER: _ClassVar[int]
    ESTIMATE_TOTAL_FIELD_NUMBER: _ClassVar[int]
    USED_SO_FAR_FIELD_NUMBER: _ClassVar[int]
    USED_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    reservation_id: str
    idempotency_key: str
    new_total: _money_pb2.Money
    estimate_total: _usage_pb2.UsageReport
    used_so_far: _money_pb2.Money
    used: _usage_pb2.UsageReport
    ttl: _duration_pb2.Duration
    def __init__(self, reservation_id: _Optional[str] = ..., idempotency_key: _Optional[str] = ..., new_total: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., estimate_total: _Optional[_Union[_usage_pb2.UsageReport, _Mapping]] = ..., used_so_far: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., used: _Optional[_Union[_usage_pb2.UsageReport, _Mapping]] = ..., ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class ExtendResponse(_message.Message):
    __slots__ = ("reservation", "balance", "affordable_duration", "final_unit", "replayed", "denial_reason")
    RESERVATION_FIELD_NUMBER: _ClassVar[int]
    BALANCE_FIELD_NUMBER: _ClassVar[int]
    AFFORDABLE_DURATION_FIELD_NUMBER: _ClassVar[int]
    FINAL_UNIT_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    DENIAL_REASON_FIELD_NUMBER: _ClassVar[int]
    reservation: _reservation_pb2.Reservation
    balance: _balance_pb2.Balance
    affordable_duration: _duration_pb2.Duration
    final_unit: bool
    replayed: bool
    denial_reason: _errors_pb2.ErrorReason
    def __init__(self, reservation: _Optional[_Union[_reservation_pb2.Reservation, _Mapping]] = ..., balance: _Optional[_Union[_balance_pb2.Balance, _Mapping]] = ..., affordable_duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., final_unit: bool = ..., replayed: bool = ..., denial_reason: _Optional[_Union[_errors_pb2.ErrorReason, str]] = ...) -> None: ...

class CommitRequest(_message.Message):
    __slots__ = ("reservation_id", "idempotency_key", "amount", "usage", "final", "effective_time")
    RESERVATION_ID_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    FINAL_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_TIME_FIELD_NUMBER: _ClassVar[int]
    reservation_id: str
    idempotency_key: str
    amount: _money_pb2.Money
    usage: _usage_pb2.UsageReport
    final: bool
    effective_time: _timestamp_pb2.Timestamp
    def __init__(self, reservation_id: _Optional[str] = ..., idempotency_key: _Optional[str] = ..., amount: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., usage: _Optional[_Union[_usage_pb2.UsageReport, _Mapping]] = ..., final: bool = ..., effective_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class CommitResponse(_message.Message):
    __slots__ = ("reservation", "balance", "charge", "transaction_id", "late", "replayed")
    RESERVATION_FIELD_NUMBER: _ClassVar[int]
    BALANCE_FIELD_NUMBER: _ClassVar[int]
    CHARGE_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    LATE_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    reservation: _reservation_pb2.Reservation
    balance: _balance_pb2.Balance
    charge: _charge_pb2.ChargeBreakdown
    transaction_id: str
    late: bool
    replayed: bool
    def __init__(self, reservation: _Optional[_Union[_reservation_pb2.Reservation, _Mapping]] = ..., balance: _Optional[_Union[_balance_pb2.Balance, _Mapping]] = ..., charge: _Optional[_Union[_charge_pb2.ChargeBreakdown, _Mapping]] = ..., transaction_id: _Optional[str] = ..., late: bool = ..., replayed: bool = ...) -> None: ...

class VoidRequest(_message.Message):
    __slots__ = ("reservation_id", "idempotency_key", "reason")
    RESERVATION_ID_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    reservation_id: str
    idempotency_key: str
    reason: str
    def __init__(self, reservation_id: _Optional[str] = ..., idempotency_key: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class VoidResponse(_message.Message):
    __slots__ = ("reservation", "balance", "replayed")
    RESERVATION_FIELD_NUMBER: _ClassVar[int]
    BALANCE_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    reservation: _reservation_pb2.Reservation
    balance: _balance_pb2.Balance
    replayed: bool
    def __init__(self, reservation: _Optional[_Union[_reservation_pb2.Reservation, _Mapping]] = ..., balance: _Optional[_Union[_balance_pb2.Balance, _Mapping]] = ..., replayed: bool = ...) -> None: ...

class ChargeRequest(_message.Message):
    __slots__ = ("account_id", "idempotency_key", "call_id", "amount", "usage", "effective_time", "labels")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_TIME_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    idempotency_key: str
    call_id: str
    amount: _money_pb2.Money
    usage: _usage_pb2.UsageReport
    effective_time: _timestamp_pb2.Timestamp
    labels: _containers.ScalarMap[str, str]
    def __init__(self, account_id: _Optional[str] = ..., idempotency_key: _Optional[str] = ..., call_id: _Optional[str] = ..., amount: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., usage: _Optional[_Union[_usage_pb2.UsageReport, _Mapping]] = ..., effective_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., labels: _Optional[_Mapping[str, str]] = ...) -> None: ...

class ChargeResponse(_message.Message):
    __slots__ = ("balance", "charge", "transaction_id", "replayed")
    BALANCE_FIELD_NUMBER: _ClassVar[int]
    CHARGE_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    balance: _balance_pb2.Balance
    charge: _charge_pb2.ChargeBreakdown
    transaction_id: str
    replayed: bool
    def __init__(self, balance: _Optional[_Union[_balance_pb2.Balance, _Mapping]] = ..., charge: _Optional[_Union[_charge_pb2.ChargeBreakdown, _Mapping]] = ..., transaction_id: _Optional[str] = ..., replayed: bool = ...) -> None: ...

class RefundRequest(_message.Message):
    __slots__ = ("transaction_id", "reservation_id", "idempotency_key", "amount", "reason", "reverse_cost")
    TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    RESERVATION_ID_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REVERSE_COST_FIELD_NUMBER: _ClassVar[int]
    transaction_id: str
    reservation_id: str
    idempotency_key: str
    amount: _money_pb2.Money
    reason: str
    reverse_cost: bool
    def __init__(self, transaction_id: _Optional[str] = ..., reservation_id: _Optional[str] = ..., idempotency_key: _Optional[str] = ..., amount: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., reason: _Optional[str] = ..., reverse_cost: bool = ...) -> None: ...

class RefundResponse(_message.Message):
    __slots__ = ("transaction", "balance", "refunded_total", "replayed")
    TRANSACTION_FIELD_NUMBER: _ClassVar[int]
    BALANCE_FIELD_NUMBER: _ClassVar[int]
    REFUNDED_TOTAL_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    transaction: _transaction_pb2.Transaction
    balance: _balance_pb2.Balance
    refunded_total: _money_pb2.Money
    replayed: bool
    def __init__(self, transaction: _Optional[_Union[_transaction_pb2.Transaction, _Mapping]] = ..., balance: _Optional[_Union[_balance_pb2.Balance, _Mapping]] = ..., refunded_total: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., replayed: bool = ...) -> None: ...

class GetReservationRequest(_message.Message):
    __slots__ = ("reservation_id",)
    RESERVATION_ID_FIELD_NUMBER: _ClassVar[int]
    reservation_id: str
    def __init__(self, reservation_id: _Optional[str] = ...) -> None: ...

class GetReservationResponse(_message.Message):
    __slots__ = ("reservation",)
    RESERVATION_FIELD_NUMBER: _ClassVar[int]
    reservation: _reservation_pb2.Reservation
    def __init__(self, reservation: _Optional[_Union[_reservation_pb2.Reservation, _Mapping]] = ...) -> None: ...

class ListReservationsRequest(_message.Message):
    __slots__ = ("account_id", "call_id", "state", "page_size", "page_token")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    call_id: str
    state: _reservation_pb2.ReservationState
    page_size: int
    page_token: str
    def __init__(self, account_id: _Optional[str] = ..., call_id: _Optional[str] = ..., state: _Optional[_Union[_reservation_pb2.ReservationState, str]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListReservationsResponse(_message.Message):
    __slots__ = ("reservations", "next_page_token")
    RESERVATIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    reservations: _containers.RepeatedCompositeFieldContainer[_reservation_pb2.Reservation]
    next_page_token: str
    def __init__(self, reservations: _Optional[_Iterable[_Union[_reservation_pb2.Reservation, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class BatchExecuteRequest(_message.Message):
    __slots__ = ("operations",)
    OPERATIONS_FIELD_NUMBER: _ClassVar[int]
    operations: _containers.RepeatedCompositeFieldContainer[BatchOperation]
    def __init__(self, operations: _Optional[_Iterable[_Union[BatchOperation, _Mapping]]] = ...) -> None: ...

class BatchOperation(_message.Message):
    __slots__ = ("reserve", "extend", "commit", "void", "charge", "refund", "create_account", "update_account", "freeze_account", "unfreeze_account", "close_account", "add_credit", "reverse_credit", "grant_credit", "adjust", "withdraw", "transfer", "record_usage", "true_up_cost")
    RESERVE_FIELD_NUMBER: _ClassVar[int]
    EXTEND_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    VOID_FIELD_NUMBER: _ClassVar[int]
    CHARGE_FIELD_NUMBER: _ClassVar[int]
    REFUND_FIELD_NUMBER: _ClassVar[int]
    CREATE_ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    UPDATE_ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    FREEZE_ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    UNFREEZE_ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    CLOSE_ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    ADD_CREDIT_FIELD_NUMBER: _ClassVar[int]
    REVERSE_CREDIT_FIELD_NUMBER: _ClassVar[int]
    GRANT_CREDIT_FIELD_NUMBER: _ClassVar[int]
    ADJUST_FIELD_NUMBER: _ClassVar[int]
    WITHDRAW_FIELD_NUMBER: _ClassVar[int]
    TRANSFER_FIELD_NUMBER: _ClassVar[int]
    RECORD_USAGE_FIELD_NUMBER: _ClassVar[int]
    TRUE_UP_COST_FIELD_NUMBER: _ClassVar[int]
    reserve: ReserveRequest
    extend: ExtendRequest
    commit: CommitRequest
    void: VoidRequest
    charge: ChargeRequest
    refund: RefundRequest
    create_account: _account_service_pb2.CreateAccountRequest
    update_account: _account_service_pb2.UpdateAccountRequest
    freeze_account: _account_service_pb2.FreezeAccountRequest
    unfreeze_account: _account_service_pb2.UnfreezeAccountRequest
    close_account: _account_service_pb2.CloseAccountRequest
    add_credit: _account_service_pb2.AddCreditRequest
    reverse_credit: _account_service_pb2.ReverseCreditRequest
    grant_credit: _account_service_pb2.GrantCreditRequest
    adjust: _account_service_pb2.AdjustRequest
    withdraw: _account_service_pb2.WithdrawRequest
    transfer: _account_service_pb2.TransferRequest
    record_usage: _usage_service_pb2.RecordUsageRequest
    true_up_cost: _usage_service_pb2.TrueUpCostRequest
    def __init__(self, reserve: _Optional[_Union[ReserveRequest, _Mapping]] = ..., extend: _Optional[_Union[ExtendRequest, _Mapping]] = ..., commit: _Optional[_Union[CommitRequest, _Mapping]] = ..., void: _Optional[_Union[VoidRequest, _Mapping]] = ..., charge: _Optional[_Union[ChargeRequest, _Mapping]] = ..., refund: _Optional[_Union[RefundRequest, _Mapping]] = ..., create_account: _Optional[_Union[_account_service_pb2.CreateAccountRequest, _Mapping]] = ..., update_account: _Optional[_Union[_account_service_pb2.UpdateAccountRequest, _Mapping]] = ..., freeze_account: _Optional[_Union[_account_service_pb2.FreezeAccountRequest, _Mapping]] = ..., unfreeze_account: _Optional[_Union[_account_service_pb2.UnfreezeAccountRequest, _Mapping]] = ..., close_account: _Optional[_Union[_account_service_pb2.CloseAccountRequest, _Mapping]] = ..., add_credit: _Optional[_Union[_account_service_pb2.AddCreditRequest, _Mapping]] = ..., reverse_credit: _Optional[_Union[_account_service_pb2.ReverseCreditRequest, _Mapping]] = ..., grant_credit: _Optional[_Union[_account_service_pb2.GrantCreditRequest, _Mapping]] = ..., adjust: _Optional[_Union[_account_service_pb2.AdjustRequest, _Mapping]] = ..., withdraw: _Optional[_Union[_account_service_pb2.WithdrawRequest, _Mapping]] = ..., transfer: _Optional[_Union[_account_service_pb2.TransferRequest, _Mapping]] = ..., record_usage: _Optional[_Union[_usage_service_pb2.RecordUsageRequest, _Mapping]] = ..., true_up_cost: _Optional[_Union[_usage_service_pb2.TrueUpCostRequest, _Mapping]] = ...) -> None: ...

class BatchExecuteResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[BatchResult]
    def __init__(self, results: _Optional[_Iterable[_Union[BatchResult, _Mapping]]] = ...) -> None: ...

class BatchResult(_message.Message):
    __slots__ = ("error", "reserve", "extend", "commit", "void", "charge", "refund", "create_account", "update_account", "freeze_account", "unfreeze_account", "close_account", "add_credit", "reverse_credit", "grant_credit", "adjust", "withdraw", "transfer", "record_usage", "true_up_cost")
    ERROR_FIELD_NUMBER: _ClassVar[int]
    RESERVE_FIELD_NUMBER: _ClassVar[int]
    EXTEND_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    VOID_FIELD_NUMBER: _ClassVar[int]
    CHARGE_FIELD_NUMBER: _ClassVar[int]
    REFUND_FIELD_NUMBER: _ClassVar[int]
    CREATE_ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    UPDATE_ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    FREEZE_ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    UNFREEZE_ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    CLOSE_ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    ADD_CREDIT_FIELD_NUMBER: _ClassVar[int]
    REVERSE_CREDIT_FIELD_NUMBER: _ClassVar[int]
    GRANT_CREDIT_FIELD_NUMBER: _ClassVar[int]
    ADJUST_FIELD_NUMBER: _ClassVar[int]
    WITHDRAW_FIELD_NUMBER: _ClassVar[int]
    TRANSFER_FIELD_NUMBER: _ClassVar[int]
    RECORD_USAGE_FIELD_NUMBER: _ClassVar[int]
    TRUE_UP_COST_FIELD_NUMBER: _ClassVar[int]
    error: _status_pb2.Status
    reserve: ReserveResponse
    extend: ExtendResponse
    commit: CommitResponse
    void: VoidResponse
    charge: ChargeResponse
    refund: RefundResponse
    create_account: _account_service_pb2.CreateAccountResponse
    update_account: _account_service_pb2.UpdateAccountResponse
    freeze_account: _account_service_pb2.FreezeAccountResponse
    unfreeze_account: _account_service_pb2.UnfreezeAccountResponse
    close_account: _account_service_pb2.CloseAccountResponse
    add_credit: _account_service_pb2.AddCreditResponse
    reverse_credit: _account_service_pb2.ReverseCreditResponse
    grant_credit: _account_service_pb2.GrantCreditResponse
    adjust: _account_service_pb2.AdjustResponse
    withdraw: _account_service_pb2.WithdrawResponse
    transfer: _account_service_pb2.TransferResponse
    record_usage: _usage_service_pb2.RecordUsageResponse
    true_up_cost: _usage_service_pb2.TrueUpCostResponse
    def __init__(self, error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., reserve: _Optional[_Union[ReserveResponse, _Mapping]] = ..., extend: _Optional[_Union[ExtendResponse, _Mapping]] = ..., commit: _Optional[_Union[CommitResponse, _Mapping]] = ..., void: _Optional[_Union[VoidResponse, _Mapping]] = ..., charge: _Optional[_Union[ChargeResponse, _Mapping]] = ..., refund: _Optional[_Union[RefundResponse, _Mapping]] = ..., create_account: _Optional[_Union[_account_service_pb2.CreateAccountResponse, _Mapping]] = ..., update_account: _Optional[_Union[_account_service_pb2.UpdateAccountResponse, _Mapping]] = ..., freeze_account: _Optional[_Union[_account_service_pb2.FreezeAccountResponse, _Mapping]] = ..., unfreeze_account: _Optional[_Union[_account_service_pb2.UnfreezeAccountResponse, _Mapping]] = ..., close_account: _Optional[_Union[_account_service_pb2.CloseAccountResponse, _Mapping]] = ..., add_credit: _Optional[_Union[_account_service_pb2.AddCreditResponse, _Mapping]] = ..., reverse_credit: _Optional[_Union[_account_service_pb2.ReverseCreditResponse, _Mapping]] = ..., grant_credit: _Optional[_Union[_account_service_pb2.GrantCreditResponse, _Mapping]] = ..., adjust: _Optional[_Union[_account_service_pb2.AdjustResponse, _Mapping]] = ..., withdraw: _Optional[_Union[_account_service_pb2.WithdrawResponse, _Mapping]] = ..., transfer: _Optional[_Union[_account_service_pb2.TransferResponse, _Mapping]] = ..., record_usage: _Optional[_Union[_usage_service_pb2.RecordUsageResponse, _Mapping]] = ..., true_up_cost: _Optional[_Union[_usage_service_pb2.TrueUpCostResponse, _Mapping]] = ...) -> None: ...
