import datetime

from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AuthenticationStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    AUTHENTICATION_STATUS_UNSPECIFIED: _ClassVar[AuthenticationStatus]
    AUTHENTICATION_STATUS_PENDING: _ClassVar[AuthenticationStatus]
    AUTHENTICATION_STATUS_VERIFIED: _ClassVar[AuthenticationStatus]
    AUTHENTICATION_STATUS_FAILED: _ClassVar[AuthenticationStatus]
    AUTHENTICATION_STATUS_UNKNOWN_CALLER: _ClassVar[AuthenticationStatus]
    AUTHENTICATION_STATUS_EXPIRED: _ClassVar[AuthenticationStatus]

class AuthenticationMethod(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    AUTHENTICATION_METHOD_UNSPECIFIED: _ClassVar[AuthenticationMethod]
    AUTHENTICATION_METHOD_CARD_LAST_DIGITS: _ClassVar[AuthenticationMethod]
    AUTHENTICATION_METHOD_DATE_OF_BIRTH: _ClassVar[AuthenticationMethod]
    AUTHENTICATION_METHOD_ONE_TIME_CODE: _ClassVar[AuthenticationMethod]
    AUTHENTICATION_METHOD_PIN: _ClassVar[AuthenticationMethod]

class TransactionType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TRANSACTION_TYPE_UNSPECIFIED: _ClassVar[TransactionType]
    TRANSACTION_TYPE_CARD_INQUIRY: _ClassVar[TransactionType]
    TRANSACTION_TYPE_BALANCE_CHECK: _ClassVar[TransactionType]
    TRANSACTION_TYPE_CARD_BLOCK: _ClassVar[TransactionType]
    TRANSACTION_TYPE_CARD_REPLACEMENT: _ClassVar[TransactionType]

class CardDeliveryStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CARD_DELIVERY_STATUS_UNSPECIFIED: _ClassVar[CardDeliveryStatus]
    CARD_DELIVERY_STATUS_ORDERED: _ClassVar[CardDeliveryStatus]
    CARD_DELIVERY_STATUS_PRINTED: _ClassVar[CardDeliveryStatus]
    CARD_DELIVERY_STATUS_SHIPPED: _ClassVar[CardDeliveryStatus]
    CARD_DELIVERY_STATUS_OUT_FOR_DELIVERY: _ClassVar[CardDeliveryStatus]
    CARD_DELIVERY_STATUS_DELIVERED: _ClassVar[CardDeliveryStatus]
    CARD_DELIVERY_STATUS_RETURNED: _ClassVar[CardDeliveryStatus]
    CARD_DELIVERY_STATUS_LOST: _ClassVar[CardDeliveryStatus]
    CARD_DELIVERY_STATUS_BLOCKED: _ClassVar[CardDeliveryStatus]
AUTHENTICATION_STATUS_UNSPECIFIED: AuthenticationStatus
AUTHENTICATION_STATUS_PENDING: AuthenticationStatus
AUTHENTICATION_STATUS_VERIFIED: AuthenticationStatus
AUTHENTICATION_STATUS_FAILED: AuthenticationStatus
AUTHENTICATION_STATUS_UNKNOWN_CALLER: AuthenticationStatus
AUTHENTICATION_STATUS_EXPIRED: AuthenticationStatus
AUTHENTICATION_METHOD_UNSPECIFIED: AuthenticationMethod
AUTHENTICATION_METHOD_CARD_LAST_DIGITS: AuthenticationMethod
AUTHENTICATION_METHOD_DATE_OF_BIRTH: AuthenticationMethod
AUTHENTICATION_METHOD_ONE_TIME_CODE: AuthenticationMethod
AUTHENTICATION_METHOD_PIN: AuthenticationMethod
TRANSACTION_TYPE_UNSPECIFIED: TransactionType
TRANSACTION_TYPE_CARD_INQUIRY: TransactionType
TRANSACTION_TYPE_BALANCE_CHECK: TransactionType
TRANSACTION_TYPE_CARD_BLOCK: TransactionType
TRANSACTION_TYPE_CARD_REPLACEMENT: TransactionType
CARD_DELIVERY_STATUS_UNSPECIFIED: CardDeliveryStatus
CARD_DELIVERY_STATUS_ORDERED: CardDeliveryStatus
CARD_DELIVERY_STATUS_PRINTED: CardDeliveryStatus
CARD_DELIVERY_STATUS_SHIPPED: CardDeliveryStatus
CARD_DELIVERY_STATUS_OUT_FOR_DELIVERY: CardDeliveryStatus
CARD_DELIVERY_STATUS_DELIVERED: CardDeliveryStatus
CARD_DELIVERY_STATUS_RETURNED: CardDeliveryStatus
CARD_DELIVERY_STATUS_LOST: CardDeliveryStatus
CARD_DELIVERY_STATUS_BLOCKED: CardDeliveryStatus

class AuthenticationRequest(_message.Message):
    __slots__ = ("session_id", "customer_id", "method", "credential", "request_id", "correlation_id", "caller_id")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    CREDENTIAL_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    CALLER_ID_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    customer_id: str
    method: AuthenticationMethod
    credential: str
    request_id: str
    correlation_id: str
    caller_id: str
    def __init__(self, session_id: _Optional[str] = ..., customer_id: _Optional[str] = ..., method: _Optional[_Union[AuthenticationMethod, str]] = ..., credential: _Optional[str] = ..., request_id: _Optional[str] = ..., correlation_id: _Optional[str] = ..., caller_id: _Optional[str] = ...) -> None: ...

class AuthenticationResponse(_message.Message):
    __slots__ = ("status", "attempts_left", "locked_until", "session_id", "correlation_id", "customer_id", "expires_at")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_LEFT_FIELD_NUMBER: _ClassVar[int]
    LOCKED_UNTIL_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    status: AuthenticationStatus
    attempts_left: int
    locked_until: _timestamp_pb2.Timestamp
    session_id: str
    correlation_id: str
    customer_id: str
    expires_at: _timestamp_pb2.Timestamp
    def __init__(self, status: _Optional[_Union[AuthenticationStatus, str]] = ..., attempts_left: _Optional[int] = ..., locked_until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., session_id: _Optional[str] = ..., correlation_id: _Optional[str] = ..., customer_id: _Optional[str] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class CardDeliveryRequest(_message.Message):
    __slots__ = ("session_id", "customer_id", "card_id", "correlation_id", "request_id")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    CARD_ID_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    customer_id: str
    card_id: str
    correlation_id: str
    request_id: str
    def __init__(self, session_id: _Optional[str] = ..., customer_id: _Optional[str] = ..., card_id: _Optional[str] = ..., correlation_id: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class CardDeliveryResponse(_message.Message):
    __slots__ = ("status", "carrier", "tracking_number", "shipped_at", "expected_at", "delivered_at", "session_id", "correlation_id", "status_at")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    CARRIER_FIELD_NUMBER: _ClassVar[int]
    TRACKING_NUMBER_FIELD_NUMBER: _ClassVar[int]
    SHIPPED_AT_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_AT_FIELD_NUMBER: _ClassVar[int]
    DELIVERED_AT_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_AT_FIELD_NUMBER: _ClassVar[int]
    status: CardDeliveryStatus
    carrier: str
    tracking_number: str
    shipped_at: _timestamp_pb2.Timestamp
    expected_at: _timestamp_pb2.Timestamp
    delivered_at: _timestamp_pb2.Timestamp
    session_id: str
    correlation_id: str
    status_at: _timestamp_pb2.Timestamp
    def __init__(self, status: _Optional[_Union[CardDeliveryStatus, str]] = ..., carrier: _Optional[str] = ..., tracking_number: _Optional[str] = ..., shipped_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expected_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., delivered_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., session_id: _Optional[str] = ..., correlation_id: _Optional[str] = ..., status_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class TransactionRequest(_message.Message):
    __slots__ = ("transaction_id", "session_id", "customer_id", "transaction_type", "query_parameters", "correlation_id")
    TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_TYPE_FIELD_NUMBER: _ClassVar[int]
    QUERY_PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    transaction_id: str
    session_id: str
    customer_id: str
    transaction_type: TransactionType
    query_parameters: _struct_pb2.Struct
    correlation_id: str
    def __init__(self, transaction_id: _Optional[str] = ..., session_id: _Optional[str] = ..., customer_id: _Optional[str] = ..., transaction_type: _Optional[_Union[TransactionType, str]] = ..., query_parameters: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., correlation_id: _Optional[str] = ...) -> None: ...

class TransactionResponse(_message.Message):
    __slots__ = ("transaction_id", "outcome", "authentication_status", "response_data", "created_at", "correlation_id")
    class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        OUTCOME_UNSPECIFIED: _ClassVar[TransactionResponse.Outcome]
        OUTCOME_COMPLETED: _ClassVar[TransactionResponse.Outcome]
        OUTCOME_DECLINED: _ClassVar[TransactionResponse.Outcome]
        OUTCOME_PENDING: _ClassVar[TransactionResponse.Outcome]
    OUTCOME_UNSPECIFIED: TransactionResponse.Outcome
    OUTCOME_COMPLETED: TransactionResponse.Outcome
    OUTCOME_DECLINED: TransactionResponse.Outcome
    OUTCOME_PENDING: TransactionResponse.Outcome
    TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    AUTHENTICATION_STATUS_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_DATA_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    transaction_id: str
    outcome: TransactionResponse.Outcome
    authentication_status: AuthenticationStatus
    response_data: _struct_pb2.Struct
    created_at: _timestamp_pb2.Timestamp
    correlation_id: str
    def __init__(self, transaction_id: _Optional[str] = ..., outcome: _Optional[_Union[TransactionResponse.Outcome, str]] = ..., authentication_status: _Optional[_Union[AuthenticationStatus, str]] = ..., response_data: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., correlation_id: _Optional[str] = ...) -> None: ...
