"""The bank, as the agent sees it: a port, its HTTP adapter, and a bank for demonstrations."""

from callfleet_agent.banking.demo_bank import (
    DEMO_CUSTOMERS,
    DemoBank,
    DemoCard,
    DemoCustomer,
    demo_customers,
    serve_demo_bank,
)
from callfleet_agent.banking.errors import (
    AuthenticationError,
    BankingError,
    BankProtocolError,
    BankUnavailableError,
    IntentNotFoundError,
    RequestRefusedError,
)
from callfleet_agent.banking.http import HttpBank, HttpBankSettings, Timing
from callfleet_agent.banking.port import (
    Authentication,
    AuthenticationRequest,
    AuthenticationStatus,
    Bank,
    CardDelivery,
    CardDeliveryRequest,
    CardStatus,
    Guarded,
    Outcome,
    TransactionReceipt,
    TransactionRequest,
)
from callfleet_agent.banking.tokens import OAuthSettings

__all__ = [
    "DEMO_CUSTOMERS", "Authentication", "AuthenticationError", "AuthenticationRequest",
    "AuthenticationStatus", "Bank", "BankProtocolError", "BankUnavailableError", "BankingError",
    "CardDelivery", "CardDeliveryRequest", "CardStatus", "DemoBank", "DemoCard",
    "DemoCustomer", "Guarded", "HttpBank", "HttpBankSettings", "IntentNotFoundError",
    "OAuthSettings", "Outcome", "RequestRefusedError", "Timing", "TransactionReceipt",
    "TransactionRequest", "demo_customers", "serve_demo_bank",
]  # fmt: skip
