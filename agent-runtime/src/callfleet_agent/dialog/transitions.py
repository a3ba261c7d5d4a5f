"""The card-delivery dialog: one table. A pair that is not in it changes nothing."""

from collections.abc import Mapping

from callfleet_agent.dialog import moves
from callfleet_agent.dialog.meaning import Meaning
from callfleet_agent.dialog.moves import Move
from callfleet_agent.dialog.state import State

_EVERYWHERE: Mapping[Meaning, Move] = {
    Meaning.REPEAT: moves.repeat,
    Meaning.HELP: moves.explain,
    Meaning.OPERATOR: moves.no_operator,
    Meaning.START_AGAIN: moves.start_again,
    Meaning.GOOD_BYE: moves.good_bye,
    Meaning.NO_MATCH: moves.not_understood,
    Meaning.NO_INPUT: moves.silence,
}
_OF_THE_BANK: Mapping[Meaning, Move] = {
    Meaning.BANK_SLOW: moves.bank_slow,
    Meaning.BANK_FAILED: moves.bank_failed,
    Meaning.LOCKED: moves.lock_out,
}
# A bank that answers what it was not asked has failed; the dialog does not wait for ever.
_NO_ANSWERS_TO_A_WISH: Mapping[Meaning, Move] = {
    Meaning.VERIFIED: moves.bank_failed,
    Meaning.REFUSED: moves.bank_failed,
    Meaning.EXPIRED: moves.bank_failed,
}
_NO_ANSWERS_TO_A_PROOF: Mapping[Meaning, Move] = {
    Meaning.CODE_SENT: moves.bank_failed,
    Meaning.NO_CODE: moves.bank_failed,
}

TABLE: Mapping[State, Mapping[Meaning, Move]] = {
    State.NEW: {
        Meaning.STARTED: moves.welcome,
    },
    State.CONTINUE: {
        Meaning.YES: moves.go_on_with_earlier,
        Meaning.NO: moves.begin_anew,
        Meaning.CARD: moves.want_card,
        **_EVERYWHERE,
    },
    State.INTENT: {
        Meaning.CARD: moves.want_card,
        **_EVERYWHERE,
    },
    State.IDENTIFY: {
        Meaning.SPOKEN_DIGITS: moves.read_back_number,
        Meaning.KEYED_DIGITS: moves.take_number,
        Meaning.WRONG_LENGTH: moves.wrong_length,
        **_EVERYWHERE,
    },
    State.CONFIRM_NUMBER: {
        Meaning.YES: moves.take_number,
        Meaning.NO: moves.ask_number,
        **_EVERYWHERE,
    },
    State.SENDING: {
        Meaning.CODE_SENT: moves.code_sent,
        Meaning.NO_CODE: moves.no_code,
        Meaning.UNKNOWN_CALLER: moves.unknown_caller,
        **_NO_ANSWERS_TO_A_WISH,
        **_OF_THE_BANK,
    },
    State.AUTHENTICATE: {
        Meaning.SPOKEN_DIGITS: moves.read_back_credential,
        Meaning.KEYED_DIGITS: moves.take_credential,
        Meaning.WRONG_LENGTH: moves.wrong_length,
        Meaning.SEND_AGAIN: moves.send_again,
        **_EVERYWHERE,
    },
    State.CONFIRM_CREDENTIAL: {
        Meaning.YES: moves.take_credential,
        Meaning.NO: moves.ask_credential,
        **_EVERYWHERE,
    },
    State.VERIFYING: {
        Meaning.VERIFIED: moves.verified,
        Meaning.REFUSED: moves.refused,
        Meaning.EXPIRED: moves.expired,
        Meaning.UNKNOWN_CALLER: moves.unknown_caller,
        **_NO_ANSWERS_TO_A_PROOF,
        **_OF_THE_BANK,
    },
    State.QUERYING: {
        Meaning.CARD_FOUND: moves.tell_delivery,
        Meaning.CARD_NOT_FOUND: moves.tell_delivery,
        **_OF_THE_BANK,
    },
    State.TRY_AGAIN: {
        Meaning.YES: moves.try_again,
        Meaning.NO: moves.good_bye,
        **_EVERYWHERE,
    },
    State.MORE: {
        Meaning.YES: moves.anything_else,
        Meaning.NO: moves.good_bye,
        Meaning.CARD: moves.want_card,
        **_EVERYWHERE,
    },
    State.ENDED: {},
}
