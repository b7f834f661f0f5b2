import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from imprest.v1 import alert_channel_pb2 as _alert_channel_pb2
from imprest.v1 import budget_pb2 as _budget_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SetBudgetRequest(_message.Message):
    __slots__ = ("budget", "threshold_profile", "idempotency_key")
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_PROFILE_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    budget: _budget_pb2.Budget
    threshold_profile: _budget_pb2.ThresholdProfile
    idempotency_key: str
    def __init__(self, budget: _Optional[_Union[_budget_pb2.Budget, _Mapping]] = ..., threshold_profile: _Optional[_Union[_budget_pb2.ThresholdProfile, str]] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class SetBudgetResponse(_message.Message):
    __slots__ = ("budget", "replayed")
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    budget: _budget_pb2.Budget
    replayed: bool
    def __init__(self, budget: _Optional[_Union[_budget_pb2.Budget, _Mapping]] = ..., replayed: bool = ...) -> None: ...

class GetBudgetStatusRequest(_message.Message):
    __slots__ = ("budget_id",)
    BUDGET_ID_FIELD_NUMBER: _ClassVar[int]
    budget_id: str
    def __init__(self, budget_id: _Optional[str] = ...) -> None: ...

class GetBudgetStatusResponse(_message.Message):
    __slots__ = ("status",)
    STATUS_FIELD_NUMBER: _ClassVar[int]
    status: _budget_pb2.BudgetStatus
    def __init__(self, status: _Optional[_Union[_budget_pb2.BudgetStatus, _Mapping]] = ...) -> None: ...

class ListBudgetsRequest(_message.Message):
    __slots__ = ("account_id", "label_key", "page_size", "page_token")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    LABEL_KEY_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    label_key: str
    page_size: int
    page_token: str
    def __init__(self, account_id: _Optional[str] = ..., label_key: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListBudgetsResponse(_message.Message):
    __slots__ = ("budgets", "next_page_token")
    BUDGETS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    budgets: _containers.RepeatedCompositeFieldContainer[_budget_pb2.Budget]
    next_page_token: str
    def __init__(self, budgets: _Optional[_Iterable[_Union[_budget_pb2.Budget, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DeleteBudgetRequest(_message.Message):
    __slots__ = ("budget_id", "idempotency_key")
    BUDGET_ID_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    budget_id: str
    idempotency_key: str
    def __init__(self, budget_id: _Optional[str] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class DeleteBudgetResponse(_message.Message):
    __slots__ = ("replayed",)
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    replayed: bool
    def __init__(self, replayed: bool = ...) -> None: ...

class ResumeCallsRequest(_message.Message):
    __slots__ = ("budget_id", "reason", "idempotency_key")
    BUDGET_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    budget_id: str
    reason: str
    idempotency_key: str
    def __init__(self, budget_id: _Optional[str] = ..., reason: _Optional[str] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class ResumeCallsResponse(_message.Message):
    __slots__ = ("status", "replayed")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    status: _budget_pb2.BudgetStatus
    replayed: bool
    def __init__(self, status: _Optional[_Union[_budget_pb2.BudgetStatus, _Mapping]] = ..., replayed: bool = ...) -> None: ...

class BudgetAlertsRequest(_message.Message):
    __slots__ = ("resume_token", "start_time", "account_id", "min_level", "kinds", "checkpoint_interval")
    RESUME_TOKEN_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    MIN_LEVEL_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    resume_token: str
    start_time: _timestamp_pb2.Timestamp
    account_id: str
    min_level: _budget_pb2.AlertLevel
    kinds: _containers.RepeatedScalarFieldContainer[_budget_pb2.AlertKind]
    checkpoint_interval: _duration_pb2.Duration
    def __init__(self, resume_token: _Optional[str] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., account_id: _Optional[str] = ..., min_level: _Optional[_Union[_budget_pb2.AlertLevel, str]] = ..., kinds: _Optional[_Iterable[_Union[_budget_pb2.AlertKind, str]]] = ..., checkpoint_interval: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class BudgetAlertsResponse(_message.Message):
    __slots__ = ("alert", "checkpoint", "resume_token")
    ALERT_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    RESUME_TOKEN_FIELD_NUMBER: _ClassVar[int]
    alert: _budget_pb2.Alert
    checkpoint: AlertCheckpoint
    resume_token: str
    def __init__(self, alert: _Optional[_Union[_budget_pb2.Alert, _Mapping]] = ..., checkpoint: _Optional[_Union[AlertCheckpoint, _Mapping]] = ..., resume_token: _Optional[str] = ...) -> None: ...

class AlertCheckpoint(_message.Message):
    __slots__ = ("sequence",)
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    def __init__(self, sequence: _Optional[int] = ...) -> None: ...

class ListAlertsRequest(_message.Message):
    __slots__ = ("account_id", "budget_id", "min_level", "kinds", "start_time", "end_time", "unacknowledged", "page_size", "page_token")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    BUDGET_ID_FIELD_NUMBER: _ClassVar[int]
    MIN_LEVEL_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    UNACKNOWLEDGED_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    budget_id: str
    min_level: _budget_pb2.AlertLevel
    kinds: _containers.RepeatedScalarFieldContainer[_budget_pb2.AlertKind]
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    unacknowledged: bool
    page_size: int
    page_token: str
    def __init__(self, account_id: _Optional[str] = ..., budget_id: _Optional[str] = ..., min_level: _Optional[_Union[_budget_pb2.AlertLevel, str]] = ..., kinds: _Optional[_Iterable[_Union[_budget_pb2.AlertKind, str]]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., unacknowledged: bool = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListAlertsResponse(_message.Message):
    __slots__ = ("alerts", "next_page_token")
    ALERTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    alerts: _containers.RepeatedCompositeFieldContainer[_budget_pb2.Alert]
    next_page_token: str
    def __init__(self, alerts: _Optional[_Iterable[_Union[_budget_pb2.Alert, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class AcknowledgeAlertRequest(_message.Message):
    __slots__ = ("alert_id", "acknowledged_by", "idempotency_key")
    ALERT_ID_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGED_BY_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    alert_id: str
    acknowledged_by: str
    idempotency_key: str
    def __init__(self, alert_id: _Optional[str] = ..., acknowledged_by: _Optional[str] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class AcknowledgeAlertResponse(_message.Message):
    __slots__ = ("alert", "replayed")
    ALERT_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    alert: _budget_pb2.Alert
    replayed: bool
    def __init__(self, alert: _Optional[_Union[_budget_pb2.Alert, _Mapping]] = ..., replayed: bool = ...) -> None: ...

class CreateChannelRequest(_message.Message):
    __slots__ = ("channel", "idempotency_key")
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    channel: _alert_channel_pb2.AlertChannel
    idempotency_key: str
    def __init__(self, channel: _Optional[_Union[_alert_channel_pb2.AlertChannel, _Mapping]] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class CreateChannelResponse(_message.Message):
    __slots__ = ("channel", "signing_secret", "replayed")
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    SIGNING_SECRET_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    channel: _alert_channel_pb2.AlertChannel
    signing_secret: str
    replayed: bool
    def __init__(self, channel: _Optional[_Union[_alert_channel_pb2.AlertChannel, _Mapping]] = ..., signing_secret: _Optional[str] = ..., replayed: bool = ...) -> None: ...

class UpdateChannelRequest(_message.Message):
    __slots__ = ("channel", "idempotency_key")
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    channel: _alert_channel_pb2.AlertChannel
    idempotency_key: str
    def __init__(self, channel: _Optional[_Union[_alert_channel_pb2.AlertChannel, _Mapping]] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class UpdateChannelResponse(_message.Message):
    __slots__ = ("channel", "replayed")
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    channel: _alert_channel_pb2.AlertChannel
    replayed: bool
    def __init__(self, channel: _Optional[_Union[_alert_channel_pb2.AlertChannel, _Mapping]] = ..., replayed: bool = ...) -> None: ...

class GetChannelRequest(_message.Message):
    __slots__ = ("channel_id",)
    CHANNEL_ID_FIELD_NUMBER: _ClassVar[int]
    channel_id: str
    def __init__(self, channel_id: _Optional[str] = ...) -> None: ...

class GetChannelResponse(_message.Message):
    __slots__ = ("channel",)
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    channel: _alert_channel_pb2.AlertChannel
    def __init__(self, channel: _Optional[_Union[_alert_channel_pb2.AlertChannel, _Mapping]] = ...) -> None: ...

class ListChannelsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListChannelsResponse(_message.Message):
    __slots__ = ("channels", "next_page_token")
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    channels: _containers.RepeatedCompositeFieldContainer[_alert_channel_pb2.AlertChannel]
    next_page_token: str
    def __init__(self, channels: _Optional[_Iterable[_Union[_alert_channel_pb2.AlertChannel, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DeleteChannelRequest(_message.Message):
    __slots__ = ("channel_id", "idempotency_key")
    CHANNEL_ID_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    channel_id: str
    idempotency_key: str
    def __init__(self, channel_id: _Optional[str] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class DeleteChannelResponse(_message.Message):
    __slots__ = ("replayed",)
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    replayed: bool
    def __init__(self, replayed: bool = ...) -> None: ...

class RotateChannelSecretRequest(_message.Message):
    __slots__ = ("channel_id", "idempotency_key")
    CHANNEL_ID_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    channel_id: str
    idempotency_key: str
    def __init__(self, channel_id: _Optional[str] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class RotateChannelSecretResponse(_message.Message):
    __slots__ = ("channel", "signing_secret", "replayed")
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    SIGNING_SECRET_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    channel: _alert_channel_pb2.AlertChannel
    signing_secret: str
    replayed: bool
    def __init__(self, channel: _Optional[_Union[_alert_channel_pb2.AlertChannel, _Mapping]] = ..., signing_secret: _Optional[str] = ..., replayed: bool = ...) -> None: ...

class TestChannelRequest(_message.Message):
    __slots__ = ("channel_id",)
    CHANNEL_ID_FIELD_NUMBER: _ClassVar[int]
    channel_id: str
    def __init__(self, channel_id: _Optional[str] = ...) -> None: ...

class TestChannelResponse(_message.Message):
    __slots__ = ("delivered", "detail")
    DELIVERED_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    delivered: bool
    detail: str
    def __init__(self, delivered: bool = ..., detail: _Optional[str] = ...) -> None: ...

class ListDeliveriesRequest(_message.Message):
    __slots__ = ("channel_id", "state", "page_size", "page_token")
    CHANNEL_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    channel_id: str
    state: _alert_channel_pb2.DeliveryState
    page_size: int
    page_token: str
    def __init__(self, channel_id: _Optional[str] = ..., state: _Optional[_Union[_alert_channel_pb2.DeliveryState, str]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListDeliveriesResponse(_message.Message):
    __slots__ = ("deliveries", "next_page_token")
    DELIVERIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    deliveries: _containers.RepeatedCompositeFieldContainer[_alert_channel_pb2.AlertDelivery]
    next_page_token: str
    def __init__(self, deliveries: _Optional[_Iterable[_Union[_alert_channel_pb2.AlertDelivery, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ResendDeliveryRequest(_message.Message):
    __slots__ = ("channel_id", "alert_id", "idempotency_key")
    CHANNEL_ID_FIELD_NUMBER: _ClassVar[int]
    ALERT_ID_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    channel_id: str
    alert_id: str
    idempotency_key: str
    def __init__(self, channel_id: _Optional[str] = ..., alert_id: _Optional[str] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class ResendDeliveryResponse(_message.Message):
    __slots__ = ("delivery", "replayed")
    DELIVERY_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    delivery: _alert_channel_pb2.AlertDelivery
    replayed: bool
    def __init__(self, delivery: _Optional[_Union[_alert_channel_pb2.AlertDelivery, _Mapping]] = ..., replayed: bool = ...) -> None: ...
