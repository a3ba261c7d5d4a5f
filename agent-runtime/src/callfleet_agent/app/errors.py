"""Errors that a person who starts a process sees; the command line makes exit statuses of them."""


class AppError(Exception):
    """A process cannot do what it was started for. The text is for a person."""


class ManifestError(AppError):
    """The VoiceAgent manifest is wrong; the text names the field. The manifest's author's fault."""


class SettingsError(AppError):
    """An option is missing or contradicts another: who starts the process has to mend it."""


class AddressInUseError(AppError):
    """Another process has the port; naming another one helps."""


class MissingToolError(AppError):
    """A program or model that the machine must have is not there; the text says how to get it."""


class WorkerDiedError(AppError):
    """A worker process ended, or never became ready. It is started again after a while."""
