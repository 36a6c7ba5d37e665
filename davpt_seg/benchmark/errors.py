"""What a benchmark refuses."""


class PlanError(ValueError):
    """A plan that cannot be run; the message says what is wrong with it and what was expected."""


class ProtocolError(RuntimeError):
    """What is in the work dir does not belong to this plan, or a run did not keep to the protocol."""
