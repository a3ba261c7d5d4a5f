"""What stands between callers, language models and the bank: pure, and ignorant of any dialog.

`text` cleans what a caller said, `inspection` looks for attacks in it, `tools` admits or refuses
what a model asks to be done, and `answer` lets through only what may be spoken. The first and the
last two hold whatever a model does; an inspection is a second line that can be wrong.
"""

from callfleet_agent.guard.answer import AnswerFilter, Speakable
from callfleet_agent.guard.inspection import Inspection, inspect
from callfleet_agent.guard.text import Cleaned, clean, data_of
from callfleet_agent.guard.tools import (
    Admitted,
    Argument,
    Refused,
    Tool,
    ToolCall,
    admit,
    read_call,
)

__all__ = [
    "Admitted", "AnswerFilter", "Argument", "Cleaned", "Inspection", "Refused", "Speakable", "Tool",
    "ToolCall", "admit", "clean", "data_of", "inspect", "read_call",
]  # fmt: skip
