import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.type import decimal_pb2 as _decimal_pb2
from google.type import money_pb2 as _money_pb2
from imprest.v1 import charge_pb2 as _charge_pb2
from imprest.v1 import plan_pb2 as _plan_pb2
from imprest.v1 import price_pb2 as _price_pb2
from imprest.v1 import usage_pb2 as _usage_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListMetersRequest(_message.Message):
    __slots__ = ("category", "page_size", "page_token")
    CATEGORY_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    category: str
    page_size: int
    page_token: str
    def __init__(self, category: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListMetersResponse(_message.Message):
    __slots__ = ("meters", "next_page_token")
    METERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    meters: _containers.RepeatedCompositeFieldContainer[_price_pb2.Meter]
    next_page_token: str
    def __init__(self, meters: _Optional[_Iterable[_Union[_price_pb2.Meter, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class CreatePriceBookRequest(_message.Message):
    __slots__ = ("price_book", "idempotency_key")
    PRICE_BOOK_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    price_book: _price_pb2.PriceBook
    idempotency_key: str
    def __init__(self, price_book: _Optional[_Union[_price_pb2.PriceBook, _Mapping]] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class CreatePriceBookResponse(_message.Message):
    __slots__ = ("price_book", "replayed")
    PRICE_BOOK_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    price_book: _price_pb2.PriceBook
    replayed: bool
    def __init__(self, price_book: _Optional[_Union[_price_pb2.PriceBook, _Mapping]] = ..., replayed: bool = ...) -> None: ...

class GetPriceBookRequest(_message.Message):
    __slots__ = ("price_book_id",)
    PRICE_BOOK_ID_FIELD_NUMBER: _ClassVar[int]
    price_book_id: str
    def __init__(self, price_book_id: _Optional[str] = ...) -> None: ...

class GetPriceBookResponse(_message.Message):
    __slots__ = ("price_book", "current_version", "latest_version")
    PRICE_BOOK_FIELD_NUMBER: _ClassVar[int]
    CURRENT_VERSION_FIELD_NUMBER: _ClassVar[int]
    LATEST_VERSION_FIELD_NUMBER: _ClassVar[int]
    price_book: _price_pb2.PriceBook
    current_version: _price_pb2.PriceVersion
    latest_version: _price_pb2.PriceVersion
    def __init__(self, price_book: _Optional[_Union[_price_pb2.PriceBook, _Mapping]] = ..., current_version: _Optional[_Union[_price_pb2.PriceVersion, _Mapping]] = ..., latest_version: _Optional[_Union[_price_pb2.PriceVersion, _Mapping]] = ...) -> None: ...

class ListPriceBooksRequest(_message.Message):
    __slots__ = ("side", "currency_code", "account_id", "page_size", "page_token")
    SIDE_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_CODE_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    side: _price_pb2.BookSide
    currency_code: str
    account_id: str
    page_size: int
    page_token: str
    def __init__(self, side: _Optional[_Union[_price_pb2.BookSide, str]] = ..., currency_code: _Optional[str] = ..., account_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListPriceBooksResponse(_message.Message):
    __slots__ = ("price_books", "next_page_token")
    PRICE_BOOKS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    price_books: _containers.RepeatedCompositeFieldContainer[_price_pb2.PriceBook]
    next_page_token: str
    def __init__(self, price_books: _Optional[_Iterable[_Union[_price_pb2.PriceBook, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ListPriceVersionsRequest(_message.Message):
    __slots__ = ("price_book_id", "page_size", "page_token")
    PRICE_BOOK_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    price_book_id: str
    page_size: int
    page_token: str
    def __init__(self, price_book_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListPriceVersionsResponse(_message.Message):
    __slots__ = ("versions", "next_page_token")
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    versions: _containers.RepeatedCompositeFieldContainer[_price_pb2.PriceVersion]
    next_page_token: str
    def __init__(self, versions: _Optional[_Iterable[_Union[_price_pb2.PriceVersion, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class PublishPricesRequest(_message.Message):
    __slots__ = ("price_book_id", "effective_time", "prices", "replace", "validate_only", "idempotency_key")
    PRICE_BOOK_ID_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_TIME_FIELD_NUMBER: _ClassVar[int]
    PRICES_FIELD_NUMBER: _ClassVar[int]
    REPLACE_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    price_book_id: str
    effective_time: _timestamp_pb2.Timestamp
    prices: _containers.RepeatedCompositeFieldContainer[_price_pb2.Price]
    replace: bool
    validate_only: bool
    idempotency_key: str
    def __init__(self, price_book_id: _Optional[str] = ..., effective_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., prices: _Optional[_Iterable[_Union[_price_pb2.Price, _Mapping]]] = ..., replace: bool = ..., validate_only: bool = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class PublishPricesResponse(_message.Message):
    __slots__ = ("version", "differences", "summary", "replayed")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCES_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    version: _price_pb2.PriceVersion
    differences: _containers.RepeatedCompositeFieldContainer[_price_pb2.PriceDifference]
    summary: _price_pb2.PriceDifferenceSummary
    replayed: bool
    def __init__(self, version: _Optional[_Union[_price_pb2.PriceVersion, _Mapping]] = ..., differences: _Optional[_Iterable[_Union[_price_pb2.PriceDifference, _Mapping]]] = ..., summary: _Optional[_Union[_price_pb2.PriceDifferenceSummary, _Mapping]] = ..., replayed: bool = ...) -> None: ...

class ImportPricesRequest(_message.Message):
    __slots__ = ("price_book_id", "litellm_json", "csv", "effective_time", "replace", "validate_only", "idempotency_key")
    PRICE_BOOK_ID_FIELD_NUMBER: _ClassVar[int]
    LITELLM_JSON_FIELD_NUMBER: _ClassVar[int]
    CSV_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_TIME_FIELD_NUMBER: _ClassVar[int]
    REPLACE_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    price_book_id: str
    litellm_json: bytes
    csv: str
    effective_time: _timestamp_pb2.Timestamp
    replace: bool
    validate_only: bool
    idempotency_key: str
    def __init__(self, price_book_id: _Optional[str] = ..., litellm_json: _Optional[bytes] = ..., csv: _Optional[str] = ..., effective_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., replace: bool = ..., validate_only: bool = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class ImportPricesResponse(_message.Message):
    __slots__ = ("version", "differences", "summary", "skipped", "skipped_count", "price_count", "replayed")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCES_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_COUNT_FIELD_NUMBER: _ClassVar[int]
    PRICE_COUNT_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    version: _price_pb2.PriceVersion
    differences: _containers.RepeatedCompositeFieldContainer[_price_pb2.PriceDifference]
    summary: _price_pb2.PriceDifferenceSummary
    skipped: _containers.RepeatedCompositeFieldContainer[SkippedEntry]
    skipped_count: int
    price_count: int
    replayed: bool
    def __init__(self, version: _Optional[_Union[_price_pb2.PriceVersion, _Mapping]] = ..., differences: _Optional[_Iterable[_Union[_price_pb2.PriceDifference, _Mapping]]] = ..., summary: _Optional[_Union[_price_pb2.PriceDifferenceSummary, _Mapping]] = ..., skipped: _Optional[_Iterable[_Union[SkippedEntry, _Mapping]]] = ..., skipped_count: _Optional[int] = ..., price_count: _Optional[int] = ..., replayed: bool = ...) -> None: ...

class SkippedEntry(_message.Message):
    __slots__ = ("name", "reason")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    name: str
    reason: str
    def __init__(self, name: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class ListPricesRequest(_message.Message):
    __slots__ = ("price_book_id", "version_id", "at", "meter", "provider", "model", "page_size", "page_token")
    PRICE_BOOK_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    METER_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    price_book_id: str
    version_id: str
    at: _timestamp_pb2.Timestamp
    meter: str
    provider: str
    model: str
    page_size: int
    page_token: str
    def __init__(self, price_book_id: _Optional[str] = ..., version_id: _Optional[str] = ..., at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., meter: _Optional[str] = ..., provider: _Optional[str] = ..., model: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListPricesResponse(_message.Message):
    __slots__ = ("prices", "next_page_token", "version")
    PRICES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    prices: _containers.RepeatedCompositeFieldContainer[_price_pb2.Price]
    next_page_token: str
    version: _price_pb2.PriceVersion
    def __init__(self, prices: _Optional[_Iterable[_Union[_price_pb2.Price, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., version: _Optional[_Union[_price_pb2.PriceVersion, _Mapping]] = ...) -> None: ...

class AssignPriceBookRequest(_message.Message):
    __slots__ = ("account_id", "tenant_default", "price_book_id", "side", "currency_code", "effective_time", "idempotency_key")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_DEFAULT_FIELD_NUMBER: _ClassVar[int]
    PRICE_BOOK_ID_FIELD_NUMBER: _ClassVar[int]
    SIDE_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_CODE_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_TIME_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    tenant_default: bool
    price_book_id: str
    side: _price_pb2.BookSide
    currency_code: str
    effective_time: _timestamp_pb2.Timestamp
    idempotency_key: str
    def __init__(self, account_id: _Optional[str] = ..., tenant_default: bool = ..., price_book_id: _Optional[str] = ..., side: _Optional[_Union[_price_pb2.BookSide, str]] = ..., currency_code: _Optional[str] = ..., effective_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class AssignPriceBookResponse(_message.Message):
    __slots__ = ("assignment", "replayed")
    ASSIGNMENT_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    assignment: _price_pb2.PriceAssignment
    replayed: bool
    def __init__(self, assignment: _Optional[_Union[_price_pb2.PriceAssignment, _Mapping]] = ..., replayed: bool = ...) -> None: ...

class ListPriceAssignmentsRequest(_message.Message):
    __slots__ = ("account_id", "tenant_default", "price_book_id", "at", "page_size", "page_token")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_DEFAULT_FIELD_NUMBER: _ClassVar[int]
    PRICE_BOOK_ID_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    tenant_default: bool
    price_book_id: str
    at: _timestamp_pb2.Timestamp
    page_size: int
    page_token: str
    def __init__(self, account_id: _Optional[str] = ..., tenant_default: bool = ..., price_book_id: _Optional[str] = ..., at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListPriceAssignmentsResponse(_message.Message):
    __slots__ = ("assignments", "next_page_token")
    ASSIGNMENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    assignments: _containers.RepeatedCompositeFieldContainer[_price_pb2.PriceAssignment]
    next_page_token: str
    def __init__(self, assignments: _Optional[_Iterable[_Union[_price_pb2.PriceAssignment, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class SetOverrideRequest(_message.Message):
    __slots__ = ("account_id", "side", "currency_code", "effective_time", "prices", "replace", "validate_only", "idempotency_key")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    SIDE_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_CODE_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_TIME_FIELD_NUMBER: _ClassVar[int]
    PRICES_FIELD_NUMBER: _ClassVar[int]
    REPLACE_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    side: _price_pb2.BookSide
    currency_code: str
    effective_time: _timestamp_pb2.Timestamp
    prices: _containers.RepeatedCompositeFieldContainer[_price_pb2.Price]
    replace: bool
    validate_only: bool
    idempotency_key: str
    def __init__(self, account_id: _Optional[str] = ..., side: _Optional[_Union[_price_pb2.BookSide, str]] = ..., currency_code: _Optional[str] = ..., effective_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., prices: _Optional[_Iterable[_Union[_price_pb2.Price, _Mapping]]] = ..., replace: bool = ..., validate_only: bool = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class SetOverrideResponse(_message.Message):
    __slots__ = ("version", "differences", "summary", "replayed")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCES_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    version: _price_pb2.PriceVersion
    differences: _containers.RepeatedCompositeFieldContainer[_price_pb2.PriceDifference]
    summary: _price_pb2.PriceDifferenceSummary
    replayed: bool
    def __init__(self, version: _Optional[_Union[_price_pb2.PriceVersion, _Mapping]] = ..., differences: _Optional[_Iterable[_Union[_price_pb2.PriceDifference, _Mapping]]] = ..., summary: _Optional[_Union[_price_pb2.PriceDifferenceSummary, _Mapping]] = ..., replayed: bool = ...) -> None: ...

class SetExchangeRateRequest(_message.Message):
    __slots__ = ("price_book_id", "currency_code", "rate", "effective_time", "idempotency_key")
    PRICE_BOOK_ID_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_CODE_FIELD_NUMBER: _ClassVar[int]
    RATE_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_TIME_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    price_book_id: str
    currency_code: str
    rate: _decimal_pb2.Decimal
    effective_time: _timestamp_pb2.Timestamp
    idempotency_key: str
    def __init__(self, price_book_id: _Optional[str] = ..., currency_code: _Optional[str] = ..., rate: _Optional[_Union[_decimal_pb2.Decimal, _Mapping]] = ..., effective_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class SetExchangeRateResponse(_message.Message):
    __slots__ = ("exchange_rate", "replayed")
    EXCHANGE_RATE_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    exchange_rate: _price_pb2.ExchangeRate
    replayed: bool
    def __init__(self, exchange_rate: _Optional[_Union[_price_pb2.ExchangeRate, _Mapping]] = ..., replayed: bool = ...) -> None: ...

class QuoteRequest(_message.Message):
    __slots__ = ("account_id", "price_book_id", "usage", "at")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    PRICE_BOOK_ID_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    price_book_id: str
    usage: _usage_pb2.UsageReport
    at: _timestamp_pb2.Timestamp
    def __init__(self, account_id: _Optional[str] = ..., price_book_id: _Optional[str] = ..., usage: _Optional[_Union[_usage_pb2.UsageReport, _Mapping]] = ..., at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class QuoteResponse(_message.Message):
    __slots__ = ("price", "cost", "margin", "margin_percent", "lines", "allocations")
    PRICE_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    MARGIN_FIELD_NUMBER: _ClassVar[int]
    MARGIN_PERCENT_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    ALLOCATIONS_FIELD_NUMBER: _ClassVar[int]
    price: _money_pb2.Money
    cost: _money_pb2.Money
    margin: _money_pb2.Money
    margin_percent: _decimal_pb2.Decimal
    lines: _containers.RepeatedCompositeFieldContainer[_usage_pb2.RatedLine]
    allocations: _containers.RepeatedCompositeFieldContainer[_price_pb2.Allocation]
    def __init__(self, price: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., cost: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., margin: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., margin_percent: _Optional[_Union[_decimal_pb2.Decimal, _Mapping]] = ..., lines: _Optional[_Iterable[_Union[_usage_pb2.RatedLine, _Mapping]]] = ..., allocations: _Optional[_Iterable[_Union[_price_pb2.Allocation, _Mapping]]] = ...) -> None: ...

class RerateRequest(_message.Message):
    __slots__ = ("start_time", "end_time", "account_id", "version_id", "validate_only", "reason", "idempotency_key", "page_size", "page_token")
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    account_id: str
    version_id: str
    validate_only: bool
    reason: str
    idempotency_key: str
    page_size: int
    page_token: str
    def __init__(self, start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., account_id: _Optional[str] = ..., version_id: _Optional[str] = ..., validate_only: bool = ..., reason: _Optional[str] = ..., idempotency_key: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class RerateResponse(_message.Message):
    __slots__ = ("items", "next_page_token", "replayed")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[RerateItem]
    next_page_token: str
    replayed: bool
    def __init__(self, items: _Optional[_Iterable[_Union[RerateItem, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., replayed: bool = ...) -> None: ...

class RerateItem(_message.Message):
    __slots__ = ("account_id", "transaction_id", "price_before", "price_after", "cost_before", "cost_after", "skipped", "rerate_transaction_id", "charge")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    PRICE_BEFORE_FIELD_NUMBER: _ClassVar[int]
    PRICE_AFTER_FIELD_NUMBER: _ClassVar[int]
    COST_BEFORE_FIELD_NUMBER: _ClassVar[int]
    COST_AFTER_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_FIELD_NUMBER: _ClassVar[int]
    RERATE_TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    CHARGE_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    transaction_id: str
    price_before: _money_pb2.Money
    price_after: _money_pb2.Money
    cost_before: _money_pb2.Money
    cost_after: _money_pb2.Money
    skipped: str
    rerate_transaction_id: str
    charge: _charge_pb2.ChargeBreakdown
    def __init__(self, account_id: _Optional[str] = ..., transaction_id: _Optional[str] = ..., price_before: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., price_after: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., cost_before: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., cost_after: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., skipped: _Optional[str] = ..., rerate_transaction_id: _Optional[str] = ..., charge: _Optional[_Union[_charge_pb2.ChargeBreakdown, _Mapping]] = ...) -> None: ...

class CreatePlanRequest(_message.Message):
    __slots__ = ("plan", "idempotency_key")
    PLAN_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    plan: _plan_pb2.Plan
    idempotency_key: str
    def __init__(self, plan: _Optional[_Union[_plan_pb2.Plan, _Mapping]] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class CreatePlanResponse(_message.Message):
    __slots__ = ("plan", "replayed")
    PLAN_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    plan: _plan_pb2.Plan
    replayed: bool
    def __init__(self, plan: _Optional[_Union[_plan_pb2.Plan, _Mapping]] = ..., replayed: bool = ...) -> None: ...

class ListPlansRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListPlansResponse(_message.Message):
    __slots__ = ("plans", "next_page_token")
    PLANS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    plans: _containers.RepeatedCompositeFieldContainer[_plan_pb2.Plan]
    next_page_token: str
    def __init__(self, plans: _Optional[_Iterable[_Union[_plan_pb2.Plan, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class SubscribeRequest(_message.Message):
    __slots__ = ("account_id", "plan_id", "lines", "start_time", "idempotency_key")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    PLAN_ID_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    plan_id: str
    lines: _containers.RepeatedCompositeFieldContainer[_usage_pb2.UsageLine]
    start_time: _timestamp_pb2.Timestamp
    idempotency_key: str
    def __init__(self, account_id: _Optional[str] = ..., plan_id: _Optional[str] = ..., lines: _Optional[_Iterable[_Union[_usage_pb2.UsageLine, _Mapping]]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class SubscribeResponse(_message.Message):
    __slots__ = ("subscription", "replayed")
    SUBSCRIPTION_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    subscription: _plan_pb2.Subscription
    replayed: bool
    def __init__(self, subscription: _Optional[_Union[_plan_pb2.Subscription, _Mapping]] = ..., replayed: bool = ...) -> None: ...

class UnsubscribeRequest(_message.Message):
    __slots__ = ("subscription_id", "end_time", "idempotency_key")
    SUBSCRIPTION_ID_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    subscription_id: str
    end_time: _timestamp_pb2.Timestamp
    idempotency_key: str
    def __init__(self, subscription_id: _Optional[str] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class UnsubscribeResponse(_message.Message):
    __slots__ = ("subscription", "replayed")
    SUBSCRIPTION_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    subscription: _plan_pb2.Subscription
    replayed: bool
    def __init__(self, subscription: _Optional[_Union[_plan_pb2.Subscription, _Mapping]] = ..., replayed: bool = ...) -> None: ...

class ListSubscriptionsRequest(_message.Message):
    __slots__ = ("account_id", "page_size", "page_token")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    page_size: int
    page_token: str
    def __init__(self, account_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListSubscriptionsResponse(_message.Message):
    __slots__ = ("subscriptions", "next_page_token")
    SUBSCRIPTIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    subscriptions: _containers.RepeatedCompositeFieldContainer[_plan_pb2.Subscription]
    next_page_token: str
    def __init__(self, subscriptions: _Optional[_Iterable[_Union[_plan_pb2.Subscription, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...
