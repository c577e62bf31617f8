"""What CKAN's action API answers when it does not do what was asked.

Refusal
├── ValidationError   409, `error` = {field: [messages], "__type": "Validation Error"}
├── NotFound          404, `error` = {"message": ..., "__type": "Not Found Error"}
├── NotAuthorized     403, `error` = {"message": ..., "__type": "Authorization Error"}
├── InternalError     500, `error` = {"message": ..., "__type": "Internal Server Error"}
└── BadRequest        400, the body is a JSON string, not an object
"""

from collections.abc import Mapping


class Refusal(Exception):
    """The action was refused; *status* and *error* are its answer."""

    status = 500

    def __init__(self, error: Mapping[str, object]) -> None:
        super().__init__(error)
        self.error = dict(error)


class ValidationError(Refusal):
    """The parameters cannot be used. CKAN appends `__type` to whatever keys the check gave."""

    status = 409

    def __init__(self, error: Mapping[str, object]) -> None:
        super().__init__({**error, "__type": "Validation Error"})


class NotFound(Refusal):
    """No such thing. *detail* is put behind "Not found: "."""

    status = 404

    def __init__(self, detail: str | None = None) -> None:
        message = f"Not found: {detail}" if detail else "Not found"
        super().__init__({"__type": "Not Found Error", "message": message})


class NotAuthorized(Refusal):
    """The caller may not. *what* completes "User <name> not authorized to ..."; an anonymous caller's name is empty."""

    status = 403

    def __init__(self, what: str) -> None:
        message = f"Access denied: User  not authorized to {what}"
        super().__init__({"__type": "Authorization Error", "message": message})


class InternalError(Refusal):
    """CKAN failed. The reason is in its log only."""

    status = 500

    def __init__(self) -> None:
        super().__init__({"__type": "Internal Server Error", "message": "Internal Server Error"})


class BadRequest(Exception):
    """The request is not a call of an action; *reason* comes back as a JSON string with status 400."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def missing(*names: str) -> ValidationError:
    """CKAN's answer when parameters are not there."""
    return ValidationError({name: ["Missing value"] for name in names})
