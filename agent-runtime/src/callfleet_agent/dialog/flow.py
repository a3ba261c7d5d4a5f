"""The dialog: an input and a memory in, the next memory and what to do out."""

from dataclasses import dataclass, field, replace

from callfleet_agent.dialog import moves, snapshot
from callfleet_agent.dialog.grammar import Grammar
from callfleet_agent.dialog.history import BLANK, added, cut_short
from callfleet_agent.dialog.inputs import (
    Authenticated,
    BankFailed,
    BankSlow,
    CardFound,
    CardNotFound,
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
from callfleet_agent.dialog.meaning import Expected, Meaning, expected, of_keys, of_words
from callfleet_agent.dialog.moves import Step, Turn
from callfleet_agent.dialog.outputs import Say
from callfleet_agent.dialog.prompts import fixed
from callfleet_agent.dialog.settings import DialogSettings
from callfleet_agent.dialog.state import LISTENING, Memory, State
from callfleet_agent.dialog.transitions import TABLE
from callfleet_agent.dialog.vocabulary import grammars

_VERDICTS = {
    Verdict.VERIFIED: Meaning.VERIFIED,
    Verdict.REFUSED: Meaning.REFUSED,
    Verdict.LOCKED: Meaning.LOCKED,
    Verdict.UNKNOWN_CALLER: Meaning.UNKNOWN_CALLER,
    Verdict.PENDING: Meaning.CODE_SENT,
    Verdict.NOT_SENT: Meaning.NO_CODE,
    Verdict.EXPIRED: Meaning.EXPIRED,
}
_PLAIN: dict[type[Input], Meaning] = {
    NoMatch: Meaning.NO_MATCH,
    NoInput: Meaning.NO_INPUT,
    CardNotFound: Meaning.CARD_NOT_FOUND,
    BankSlow: Meaning.BANK_SLOW,
    BankFailed: Meaning.BANK_FAILED,
}
_OPEN = frozenset({State.INTENT, State.MORE})
_CALLERS_OWN = (Heard, Keyed, NoMatch, NoInput)
_UNDERSTOOD = frozenset(Meaning) - {Meaning.NO_MATCH, Meaning.NO_INPUT, Meaning.WRONG_LENGTH}


@dataclass(frozen=True, slots=True)
class Dialog:
    """The card-delivery dialog of one agent; holds no call's state and is shared by all of them."""

    settings: DialogSettings = field(default_factory=DialogSettings)

    def step(self, memory: Memory, given: Input) -> Step:
        """The next memory and the outputs, in order. An input that the state does not wait for
        changes nothing and gives no output."""
        if isinstance(given, Interrupted):
            return Step(replace(memory, history=cut_short(memory.history, given.heard)))
        turn = Turn(memory, self.settings, grammars(self.settings))
        if isinstance(given, Resumed):
            return _recorded(moves.resumed(turn))
        meaning, turn = self._understand(turn, given)
        move = TABLE[memory.state].get(meaning)
        if move is None:
            return Step(memory)
        if isinstance(given, _CALLERS_OWN):
            turn = _counted(turn, given, meaning)
            if turn.memory.turns > self.settings.max_turns:
                move = moves.give_up
        return _recorded(move(turn))

    def grammar(self, state: State) -> Grammar:
        """The grammar of a listening state."""
        return grammars(self.settings)[state]

    def grammars(self) -> tuple[Grammar, ...]:
        """Every grammar of the dialog, once."""
        return tuple({item.name: item for item in grammars(self.settings).values()}.values())

    def completes(self, memory: Memory, text: str) -> bool:
        """Whether the words are all that the state waits for, so that no more need be awaited."""
        if memory.state not in LISTENING:
            return False
        meaning, _ = of_words(memory.state, text, self._waited(memory))
        return meaning in _UNDERSTOOD

    def leaves_open(self, memory: Memory, given: Input) -> bool:
        """Whether these are words that the dialog has no answer to, in a state where nothing is
        asked that is secret."""
        return (
            isinstance(given, Heard)
            and memory.state in _OPEN
            and given.confidence >= self.settings.min_confidence
            and not self.completes(memory, given.text)
        )

    def listens(self, memory: Memory) -> Step:
        """Waits for the caller in the state that the memory is in."""
        return moves.go_on(Turn(memory, self.settings, grammars(self.settings)), memory.said)

    def answered(self, memory: Memory, given: Heard, said: tuple[str, ...]) -> Step:
        """Somebody else has answered what the dialog left open, in these sentences."""
        turn = Turn(memory, self.settings, grammars(self.settings))
        number = memory.turns + 1
        history = added(memory.history, "caller", given.text, number)
        history = added(history, "agent", " ".join(said), number)
        turn = turn.known(turns=number, history=history)
        if turn.memory.turns > self.settings.max_turns:
            return _recorded(moves.give_up(turn))
        return moves.go_on(turn, said)

    def fixed_sentences(self) -> tuple[str, ...]:
        """Sentences that hold nothing of a caller, for rendering ahead."""
        return fixed(self.settings)

    def dump(self, memory: Memory) -> dict[str, object]:
        """The memory as JSON types, without secrets."""
        return snapshot.dump(memory)

    def load(self, data: dict[str, object]) -> Memory:
        """The memory of a dump; raises SnapshotError."""
        return snapshot.load(data)

    def _waited(self, memory: Memory) -> Expected:
        return expected(memory.state, self.settings, memory.today)

    def _understand(self, turn: Turn, given: Input) -> tuple[Meaning, Turn]:
        if isinstance(given, Keyed | Heard):
            meaning, digits = self._meaning(turn.memory, given)
            return meaning, replace(turn, digits=digits)
        if isinstance(given, Started):
            begun = turn.known(caller=given.caller, earlier=given.earlier, today=given.today)
            return Meaning.STARTED, begun
        if isinstance(given, Authenticated):
            return _VERDICTS[given.verdict], replace(turn, customer=given.customer)
        if isinstance(given, CardFound):
            return Meaning.CARD_FOUND, replace(turn, found=given)
        return _PLAIN[type(given)], turn

    def _meaning(self, memory: Memory, given: Keyed | Heard) -> tuple[Meaning, str | None]:
        if isinstance(given, Keyed):
            return of_keys(memory.state, given.digits, self._waited(memory))
        if given.confidence < self.settings.min_confidence:
            return Meaning.NO_MATCH, None
        return of_words(memory.state, given.text, self._waited(memory))


def _counted(turn: Turn, given: Input, meaning: Meaning) -> Turn:
    memory = turn.memory
    if isinstance(given, NoInput):
        return turn.known(turns=memory.turns + 1)
    text = given.text if isinstance(given, Heard) and meaning in _UNDERSTOOD else f"({meaning})"
    text = BLANK if meaning is Meaning.SPOKEN_DIGITS else text
    number = memory.turns + 1
    turn = turn.known(turns=number, history=added(memory.history, "caller", text, number))
    return turn.known(no_matches=0, silences=0) if meaning in _UNDERSTOOD else turn


def _recorded(step: Step) -> Step:
    memory = step.memory
    for output in step.outputs:
        if isinstance(output, Say):
            history = added(memory.history, "agent", output.text, memory.turns)
            memory = replace(memory, history=history)
    return Step(memory, step.outputs)
