"""The conversation: a pure state machine. It knows nothing of audio, time, networks or Pipecat.

`Dialog(settings).step(memory, input)` gives the next `Memory` and outputs in order: `Say`,
`Listen`, `AskBank`, `HangUp`. The transitions are the table in `transitions`.
"""

from callfleet_agent.dialog.dates import DateOrder
from callfleet_agent.dialog.errors import DialogError, GrammarError, SnapshotError
from callfleet_agent.dialog.flow import Dialog
from callfleet_agent.dialog.grammar import Grammar
from callfleet_agent.dialog.inputs import (
    Authenticated,
    BankFailed,
    BankSlow,
    Caller,
    CardFound,
    CardNotFound,
    Delivery,
    Earlier,
    Heard,
    Input,
    Interrupted,
    Keyed,
    NoInput,
    NoMatch,
    Resumed,
    Started,
    Verdict,
)
from callfleet_agent.dialog.moves import Step
from callfleet_agent.dialog.outputs import (
    AskBank,
    Authenticate,
    HangUp,
    Listen,
    Outcome,
    Output,
    QueryCardDelivery,
    Say,
    SendCode,
)
from callfleet_agent.dialog.settings import DialogSettings, Method
from callfleet_agent.dialog.state import CARD_DELIVERY, LISTENING, Memory, State, Utterance

__all__ = [
    "CARD_DELIVERY", "LISTENING", "AskBank", "Authenticate", "Authenticated", "BankFailed",
    "BankSlow", "Caller", "CardFound", "CardNotFound", "DateOrder", "Delivery", "Dialog",
    "DialogError", "DialogSettings", "Earlier", "Grammar", "GrammarError", "HangUp", "Heard",
    "Input", "Interrupted", "Keyed", "Listen", "Memory", "Method", "NoInput", "NoMatch", "Outcome",
    "Output", "QueryCardDelivery", "Resumed", "Say", "SendCode", "SnapshotError", "Started",
    "State", "Step", "Utterance", "Verdict",
]  # fmt: skip
