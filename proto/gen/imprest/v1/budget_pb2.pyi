import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.type import decimal_pb2 as _decimal_pb2
from google.type import money_pb2 as _money_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class BudgetBasis(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BUDGET_BASIS_UNSPECIFIED: _ClassVar[BudgetBasis]
    BUDGET_BASIS_CHARGED: _ClassVar[BudgetBasis]
    BUDGET_BASIS_COST: _ClassVar[BudgetBasis]

class BudgetPeriod(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BUDGET_PERIOD_UNSPECIFIED: _ClassVar[BudgetPeriod]
    BUDGET_PERIOD_DAY: _ClassVar[BudgetPeriod]
    BUDGET_PERIOD_WEEK: _ClassVar[BudgetPeriod]
    BUDGET_PERIOD_MONTH: _ClassVar[BudgetPeriod]
    BUDGET_PERIOD_TOTAL: _ClassVar[BudgetPeriod]

class ThresholdAction(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    THRESHOLD_ACTION_UNSPECIFIED: _ClassVar[ThresholdAction]
    THRESHOLD_ACTION_NOTIFY: _ClassVar[ThresholdAction]
    THRESHOLD_ACTION_BLOCK: _ClassVar[ThresholdAction]
    THRESHOLD_ACTION_STOP_CALLS: _ClassVar[ThresholdAction]

class ThresholdProfile(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    THRESHOLD_PROFILE_UNSPECIFIED: _ClassVar[ThresholdProfile]
    THRESHOLD_PROFILE_WARN: _ClassVar[ThresholdProfile]
    THRESHOLD_PROFILE_EMERGENCY_STOP: _ClassVar[ThresholdProfile]

class AlertLevel(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ALERT_LEVEL_UNSPECIFIED: _ClassVar[AlertLevel]
    ALERT_LEVEL_INFO: _ClassVar[AlertLevel]
    ALERT_LEVEL_WARNING: _ClassVar[AlertLevel]
    ALERT_LEVEL_CRITICAL: _ClassVar[AlertLevel]
    ALERT_LEVEL_EMERGENCY: _ClassVar[AlertLevel]

class AlertKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ALERT_KIND_UNSPECIFIED: _ClassVar[AlertKind]
    ALERT_KIND_BUDGET: _ClassVar[AlertKind]
    ALERT_KIND_LOW_BALANCE: _ClassVar[AlertKind]
    ALERT_KIND_OVERRUN: _ClassVar[AlertKind]
    ALERT_KIND_RECEIVABLE: _ClassVar[AlertKind]
    ALERT_KIND_LATE_COMMIT: _ClassVar[AlertKind]
    ALERT_KIND_RESERVATION_EXPIRED: _ClassVar[AlertKind]
    ALERT_KIND_ANOMALY: _ClassVar[AlertKind]
BUDGET_BASIS_UNSPECIFIED: BudgetBasis
BUDGET_BASIS_CHARGED: BudgetBasis
BUDGET_BASIS_COST: BudgetBasis
BUDGET_PERIOD_UNSPECIFIED: BudgetPeriod
BUDGET_PERIOD_DAY: BudgetPeriod
BUDGET_PERIOD_WEEK: BudgetPeriod
BUDGET_PERIOD_MONTH: BudgetPeriod
BUDGET_PERIOD_TOTAL: BudgetPeriod
THRESHOLD_ACTION_UNSPECIFIED: ThresholdAction
THRESHOLD_ACTION_NOTIFY: ThresholdAction
THRESHOLD_ACTION_BLOCK: ThresholdAction
THRESHOLD_ACTION_STOP_CALLS: ThresholdAction
THRESHOLD_PROFILE_UNSPECIFIED: ThresholdProfile
THRESHOLD_PROFILE_WARN: ThresholdProfile
THRESHOLD_PROFILE_EMERGENCY_STOP: ThresholdProfile
ALERT_LEVEL_UNSPECIFIED: AlertLevel
ALERT_LEVEL_INFO: AlertLevel
ALERT_LEVEL_WARNING: AlertLevel
ALERT_LEVEL_CRITICAL: AlertLevel
ALERT_LEVEL_EMERGENCY: AlertLevel
ALERT_KIND_UNSPECIFIED: AlertKind
ALERT_KIND_BUDGET: AlertKind
ALERT_KIND_LOW_BALANCE: AlertKind
ALERT_KIND_OVERRUN: AlertKind
ALERT_KIND_RECEIVABLE: AlertKind
ALERT_KIND_LATE_COMMIT: AlertKind
ALERT_KIND_RESERVATION_EXPIRED: AlertKind
ALERT_KIND_ANOMALY: AlertKind

class Budget(_message.Message):
    __slots__ = ("budget_id", "display_name", "tenant", "account_id", "label", "meter_prefix", "basis", "period", "time_zone", "limit", "thresholds", "revision", "create_time")
    BUDGET_ID_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    METER_PREFIX_FIELD_NUMBER: _ClassVar[int]
    BASIS_FIELD_NUMBER: _ClassVar[int]
    PERIOD_FIELD_NUMBER: _ClassVar[int]
    TIME_ZONE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    THRESHOLDS_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    budget_id: str
    display_name: str
    tenant: bool
    account_id: str
    label: BudgetLabel
    meter_prefix: str
    basis: BudgetBasis
    period: BudgetPeriod
    time_zone: str
    limit: _money_pb2.Money
    thresholds: _containers.RepeatedCompositeFieldContainer[BudgetThreshold]
    revision: int
    create_time: _timestamp_pb2.Timestamp
    def __init__(self, budget_id: _Optional[str] = ..., display_name: _Optional[str] = ..., tenant: bool = ..., account_id: _Optional[str] = ..., label: _Optional[_Union[BudgetLabel, _Mapping]] = ..., meter_prefix: _Optional[str] = ..., basis: _Optional[_Union[BudgetBasis, str]] = ..., period: _Optional[_Union[BudgetPeriod, str]] = ..., time_zone: _Optional[str] = ..., limit: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., thresholds: _Optional[_Iterable[_Union[BudgetThreshold, _Mapping]]] = ..., revision: _Optional[int] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class BudgetLabel(_message.Message):
    __slots__ = ("key", "value")
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    key: str
    value: str
    def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class BudgetThreshold(_message.Message):
    __slots__ = ("percent", "level", "action", "action_label")
    PERCENT_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    ACTION_LABEL_FIELD_NUMBER: _ClassVar[int]
    percent: _decimal_pb2.Decimal
    level: AlertLevel
    action: ThresholdAction
    action_label: str
    def __init__(self, percent: _Optional[_Union[_decimal_pb2.Decimal, _Mapping]] = ..., level: _Optional[_Union[AlertLevel, str]] = ..., action: _Optional[_Union[ThresholdAction, str]] = ..., action_label: _Optional[str] = ...) -> None: ...

class BudgetStatus(_message.Message):
    __slots__ = ("budget", "spent", "held", "remaining", "percent", "exhaustion_time", "period_start", "period_end", "fired_thresholds", "stopped", "as_of")
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    SPENT_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    REMAINING_FIELD_NUMBER: _ClassVar[int]
    PERCENT_FIELD_NUMBER: _ClassVar[int]
    EXHAUSTION_TIME_FIELD_NUMBER: _ClassVar[int]
    PERIOD_START_FIELD_NUMBER: _ClassVar[int]
    PERIOD_END_FIELD_NUMBER: _ClassVar[int]
    FIRED_THRESHOLDS_FIELD_NUMBER: _ClassVar[int]
    STOPPED_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    budget: Budget
    spent: _money_pb2.Money
    held: _money_pb2.Money
    remaining: _money_pb2.Money
    percent: _decimal_pb2.Decimal
    exhaustion_time: _timestamp_pb2.Timestamp
    period_start: _timestamp_pb2.Timestamp
    period_end: _timestamp_pb2.Timestamp
    fired_thresholds: _containers.RepeatedCompositeFieldContainer[BudgetThreshold]
    stopped: bool
    as_of: _timestamp_pb2.Timestamp
    def __init__(self, budget: _Optional[_Union[Budget, _Mapping]] = ..., spent: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., held: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., remaining: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., percent: _Optional[_Union[_decimal_pb2.Decimal, _Mapping]] = ..., exhaustion_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., period_start: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., period_end: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., fired_thresholds: _Optional[_Iterable[_Union[BudgetThreshold, _Mapping]]] = ..., stopped: bool = ..., as_of: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Alert(_message.Message):
    __slots__ = ("alert_id", "sequence", "kind", "level", "account_id", "budget_id", "budget_revision", "threshold", "spent", "held", "limit", "balance", "amount", "period_start", "period_end", "reservation_id", "call_ids", "create_time", "acknowledge_time", "acknowledged_by")
    ALERT_ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    BUDGET_ID_FIELD_NUMBER: _ClassVar[int]
    BUDGET_REVISION_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    SPENT_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    BALANCE_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    PERIOD_START_FIELD_NUMBER: _ClassVar[int]
    PERIOD_END_FIELD_NUMBER: _ClassVar[int]
    RESERVATION_ID_FIELD_NUMBER: _ClassVar[int]
    CALL_IDS_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGE_TIME_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGED_BY_FIELD_NUMBER: _ClassVar[int]
    alert_id: str
    sequence: int
    kind: AlertKind
    level: AlertLevel
    account_id: str
    budget_id: str
    budget_revision: int
    threshold: BudgetThreshold
    spent: _money_pb2.Money
    held: _money_pb2.Money
    limit: _money_pb2.Money
    balance: _money_pb2.Money
    amount: _money_pb2.Money
    period_start: _timestamp_pb2.Timestamp
    period_end: _timestamp_pb2.Timestamp
    reservation_id: str
    call_ids: _containers.RepeatedScalarFieldContainer[str]
    create_time: _timestamp_pb2.Timestamp
    acknowledge_time: _timestamp_pb2.Timestamp
    acknowledged_by: str
    def __init__(self, alert_id: _Optional[str] = ..., sequence: _Optional[int] = ..., kind: _Optional[_Union[AlertKind, str]] = ..., level: _Optional[_Union[AlertLevel, str]] = ..., account_id: _Optional[str] = ..., budget_id: _Optional[str] = ..., budget_revision: _Optional[int] = ..., threshold: _Optional[_Union[BudgetThreshold, _Mapping]] = ..., spent: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., held: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., limit: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., balance: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., amount: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., period_start: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., period_end: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., reservation_id: _Optional[str] = ..., call_ids: _Optional[_Iterable[str]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., acknowledge_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., acknowledged_by: _Optional[str] = ...) -> None: ...
