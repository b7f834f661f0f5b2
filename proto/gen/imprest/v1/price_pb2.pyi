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

class BookSide(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BOOK_SIDE_UNSPECIFIED: _ClassVar[BookSide]
    BOOK_SIDE_COST: _ClassVar[BookSide]
    BOOK_SIDE_SALE: _ClassVar[BookSide]

class ChargeModel(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CHARGE_MODEL_UNSPECIFIED: _ClassVar[ChargeModel]
    CHARGE_MODEL_PER_UNIT: _ClassVar[ChargeModel]
    CHARGE_MODEL_GRADUATED: _ClassVar[ChargeModel]
    CHARGE_MODEL_VOLUME: _ClassVar[ChargeModel]
    CHARGE_MODEL_PACKAGE: _ClassVar[ChargeModel]
    CHARGE_MODEL_FLAT: _ClassVar[ChargeModel]
    CHARGE_MODEL_PERCENTAGE: _ClassVar[ChargeModel]
BOOK_SIDE_UNSPECIFIED: BookSide
BOOK_SIDE_COST: BookSide
BOOK_SIDE_SALE: BookSide
CHARGE_MODEL_UNSPECIFIED: ChargeModel
CHARGE_MODEL_PER_UNIT: ChargeModel
CHARGE_MODEL_GRADUATED: ChargeModel
CHARGE_MODEL_VOLUME: ChargeModel
CHARGE_MODEL_PACKAGE: ChargeModel
CHARGE_MODEL_FLAT: ChargeModel
CHARGE_MODEL_PERCENTAGE: ChargeModel

class PriceBook(_message.Message):
    __slots__ = ("price_book_id", "side", "currency_code", "display_name", "account_id", "create_time")
    PRICE_BOOK_ID_FIELD_NUMBER: _ClassVar[int]
    SIDE_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_CODE_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    price_book_id: str
    side: BookSide
    currency_code: str
    display_name: str
    account_id: str
    create_time: _timestamp_pb2.Timestamp
    def __init__(self, price_book_id: _Optional[str] = ..., side: _Optional[_Union[BookSide, str]] = ..., currency_code: _Optional[str] = ..., display_name: _Optional[str] = ..., account_id: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class PriceVersion(_message.Message):
    __slots__ = ("version_id", "price_book_id", "number", "effective_time", "create_time", "epoch")
    VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    PRICE_BOOK_ID_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_TIME_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    version_id: str
    price_book_id: str
    number: int
    effective_time: _timestamp_pb2.Timestamp
    create_time: _timestamp_pb2.Timestamp
    epoch: int
    def __init__(self, version_id: _Optional[str] = ..., price_book_id: _Optional[str] = ..., number: _Optional[int] = ..., effective_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., epoch: _Optional[int] = ...) -> None: ...

class Price(_message.Message):
    __slots__ = ("meter", "provider", "model", "destination_prefix", "charge_model", "unit_price", "per_quantity", "tiers", "increment_first", "increment_next", "minimum_quantity", "connect_fee", "minimum_charge", "maximum_charge", "free_quantity", "margin_percent", "markup", "source")
    METER_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    DESTINATION_PREFIX_FIELD_NUMBER: _ClassVar[int]
    CHARGE_MODEL_FIELD_NUMBER: _ClassVar[int]
    UNIT_PRICE_FIELD_NUMBER: _ClassVar[int]
    PER_QUANTITY_FIELD_NUMBER: _ClassVar[int]
    TIERS_FIELD_NUMBER: _ClassVar[int]
    INCREMENT_FIRST_FIELD_NUMBER: _ClassVar[int]
    INCREMENT_NEXT_FIELD_NUMBER: _ClassVar[int]
    MINIMUM_QUANTITY_FIELD_NUMBER: _ClassVar[int]
    CONNECT_FEE_FIELD_NUMBER: _ClassVar[int]
    MINIMUM_CHARGE_FIELD_NUMBER: _ClassVar[int]
    MAXIMUM_CHARGE_FIELD_NUMBER: _ClassVar[int]
    FREE_QUANTITY_FIELD_NUMBER: _ClassVar[int]
    MARGIN_PERCENT_FIELD_NUMBER: _ClassVar[int]
    MARKUP_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    meter: str
    provider: str
    model: str
    destination_prefix: str
    charge_model: ChargeModel
    unit_price: _decimal_pb2.Decimal
    per_quantity: _decimal_pb2.Decimal
    tiers: _containers.RepeatedCompositeFieldContainer[PriceTier]
    increment_first: _decimal_pb2.Decimal
    increment_next: _decimal_pb2.Decimal
    minimum_quantity: _decimal_pb2.Decimal
    connect_fee: _decimal_pb2.Decimal
    minimum_charge: _decimal_pb2.Decimal
    maximum_charge: _decimal_pb2.Decimal
    free_quantity: _decimal_pb2.Decimal
    margin_percent: _decimal_pb2.Decimal
    markup: _decimal_pb2.Decimal
    source: str
    def __init__(self, meter: _Optional[str] = ..., provider: _Optional[str] = ..., model: _Optional[str] = ..., destination_prefix: _Optional[str] = ..., charge_model: _Optional[_Union[ChargeModel, str]] = ..., unit_price: _Optional[_Union[_decimal_pb2.Decimal, _Mapping]] = ..., per_quantity: _Optional[_Union[_decimal_pb2.Decimal, _Mapping]] = ..., tiers: _Optional[_Iterable[_Union[PriceTier, _Mapping]]] = ..., increment_first: _Optional[_Union[_decimal_pb2.Decimal, _Mapping]] = ..., increment_next: _Optional[_Union[_decimal_pb2.Decimal, _Mapping]] = ..., minimum_quantity: _Optional[_Union[_decimal_pb2.Decimal, _Mapping]] = ..., connect_fee: _Optional[_Union[_decimal_pb2.Decimal, _Mapping]] = ..., minimum_charge: _Optional[_Union[_decimal_pb2.Decimal, _Mapping]] = ..., maximum_charge: _Optional[_Union[_decimal_pb2.Decimal, _Mapping]] = ..., free_quantity: _Optional[_Union[_decimal_pb2.Decimal, _Mapping]] = ..., margin_percent: _Optional[_Union[_decimal_pb2.Decimal, _Mapping]] = ..., markup: _Optional[_Union[_decimal_pb2.Decimal, _Mapping]] = ..., source: _Optional[str] = ...) -> None: ...

class PriceTier(_message.Message):
    __slots__ = ("up_to", "unit_price", "flat_fee")
    UP_TO_FIELD_NUMBER: _ClassVar[int]
    UNIT_PRICE_FIELD_NUMBER: _ClassVar[int]
    FLAT_FEE_FIELD_NUMBER: _ClassVar[int]
    up_to: _decimal_pb2.Decimal
    unit_price: _decimal_pb2.Decimal
    flat_fee: _decimal_pb2.Decimal
    def __init__(self, up_to: _Optional[_Union[_decimal_pb2.Decimal, _Mapping]] = ..., unit_price: _Optional[_Union[_decimal_pb2.Decimal, _Mapping]] = ..., flat_fee: _Optional[_Union[_decimal_pb2.Decimal, _Mapping]] = ...) -> None: ...

class PriceDifference(_message.Message):
    __slots__ = ("before", "after")
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    before: Price
    after: Price
    def __init__(self, before: _Optional[_Union[Price, _Mapping]] = ..., after: _Optional[_Union[Price, _Mapping]] = ...) -> None: ...

class PriceDifferenceSummary(_message.Message):
    __slots__ = ("added", "changed", "removed", "unchanged")
    ADDED_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    UNCHANGED_FIELD_NUMBER: _ClassVar[int]
    added: int
    changed: int
    removed: int
    unchanged: int
    def __init__(self, added: _Optional[int] = ..., changed: _Optional[int] = ..., removed: _Optional[int] = ..., unchanged: _Optional[int] = ...) -> None: ...

class PriceAssignment(_message.Message):
    __slots__ = ("side", "currency_code", "account_id", "price_book_id", "effective_time")
    SIDE_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_CODE_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    PRICE_BOOK_ID_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_TIME_FIELD_NUMBER: _ClassVar[int]
    side: BookSide
    currency_code: str
    account_id: str
    price_book_id: str
    effective_time: _timestamp_pb2.Timestamp
    def __init__(self, side: _Optional[_Union[BookSide, str]] = ..., currency_code: _Optional[str] = ..., account_id: _Optional[str] = ..., price_book_id: _Optional[str] = ..., effective_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ExchangeRate(_message.Message):
    __slots__ = ("price_book_id", "currency_code", "rate", "effective_time")
    PRICE_BOOK_ID_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_CODE_FIELD_NUMBER: _ClassVar[int]
    RATE_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_TIME_FIELD_NUMBER: _ClassVar[int]
    price_book_id: str
    currency_code: str
    rate: _decimal_pb2.Decimal
    effective_time: _timestamp_pb2.Timestamp
    def __init__(self, price_book_id: _Optional[str] = ..., currency_code: _Optional[str] = ..., rate: _Optional[_Union[_decimal_pb2.Decimal, _Mapping]] = ..., effective_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Allocation(_message.Message):
    __slots__ = ("meter", "cost", "exact_cost", "cost_version", "match")
    METER_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    EXACT_COST_FIELD_NUMBER: _ClassVar[int]
    COST_VERSION_FIELD_NUMBER: _ClassVar[int]
    MATCH_FIELD_NUMBER: _ClassVar[int]
    meter: str
    cost: _money_pb2.Money
    exact_cost: _decimal_pb2.Decimal
    cost_version: str
    match: str
    def __init__(self, meter: _Optional[str] = ..., cost: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., exact_cost: _Optional[_Union[_decimal_pb2.Decimal, _Mapping]] = ..., cost_version: _Optional[str] = ..., match: _Optional[str] = ...) -> None: ...

class Meter(_message.Message):
    __slots__ = ("name", "category", "unit", "description", "base", "by_destination")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    BASE_FIELD_NUMBER: _ClassVar[int]
    BY_DESTINATION_FIELD_NUMBER: _ClassVar[int]
    name: str
    category: str
    unit: str
    description: str
    base: str
    by_destination: bool
    def __init__(self, name: _Optional[str] = ..., category: _Optional[str] = ..., unit: _Optional[str] = ..., description: _Optional[str] = ..., base: _Optional[str] = ..., by_destination: bool = ...) -> None: ...
