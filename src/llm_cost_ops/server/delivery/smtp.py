"""A mail handed to an SMTP server, and what its answers mean.

A server says 4xx to what it may take later (greylisting is 451) and 5xx to what it never will
(RFC 5321 4.2.1). A connection that fails, a server that does not offer the TLS we want and a
certificate that does not fit are no answer to the mail: it may be tried again.
"""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Mapping, Sequence
from contextlib import suppress
from email.message import EmailMessage

from llm_cost_ops.server.delivery.notice import Outcome
from llm_cost_ops.server.delivery.wording import line
from llm_cost_ops.server.settings import EmailSettings

_SAID = 200


def transmit(mail: EmailMessage, recipients: Sequence[str], settings: EmailSettings) -> Outcome:
    """Offer the mail for all `recipients` at once. It is delivered when the server took it for each
    that it did not refuse for good; the detail names those. Never raises for what the server or
    the network does. `settings` lacks nothing."""
    smtp: smtplib.SMTP | None = None
    try:
        smtp = _connected(settings)
        refused = _send(smtp, mail, recipients, settings)
    except smtplib.SMTPRecipientsRefused as error:
        return _refused(_answers(error.recipients), taken=0)
    except smtplib.SMTPResponseException as error:
        return _response(error)
    except smtplib.SMTPServerDisconnected as error:
        return Outcome(False, f"the connection to the mail server ended: {_said(error)}")
    except smtplib.SMTPNotSupportedError as error:
        return Outcome(False, f"the mail server lacks what is needed: {_said(error)}")
    except smtplib.SMTPException as error:
        return Outcome(False, f"mail failed: {_said(error)}")
    except TimeoutError:
        return Outcome(False, "the mail server did not answer in time")
    except ssl.SSLCertVerificationError as error:
        return Outcome(False, f"the mail server's certificate: {line(error.verify_message, _SAID)}")
    except UnicodeError:
        return Outcome(False, "SMTP user name and password must be ASCII", final=True)
    except OSError as error:
        return Outcome(False, f"the mail server cannot be reached: {_said(error)}")
    finally:
        _leave(smtp)
    if refused:
        return _refused(refused, taken=len(recipients) - len(refused))
    return Outcome(True, f"taken by the mail server for {_count(len(recipients))}", 250)


def _connected(settings: EmailSettings) -> smtplib.SMTP:
    """A session that is encrypted and logged in as the settings want it."""
    host, timeout_s = settings.smtp_host or "", settings.smtp_timeout_seconds
    # The sender's domain greets for us: the machine's own name may need a slow look-up, and tells
    # the other side how the machine is called.
    hello = settings.sender.domain if settings.sender else None
    if settings.smtp_use_ssl:
        return _logged_in(
            smtplib.SMTP_SSL(
                host, settings.port, hello, timeout=timeout_s, context=_context(settings)
            ),
            settings,
        )
    smtp = smtplib.SMTP(host, settings.port, hello, timeout=timeout_s)
    if settings.smtp_use_tls:
        try:
            smtp.starttls(context=_context(settings))
        except BaseException:
            smtp.close()
            raise
    return _logged_in(smtp, settings)


def _logged_in(smtp: smtplib.SMTP, settings: EmailSettings) -> smtplib.SMTP:
    try:
        if settings.smtp_user is not None:
            smtp.login(settings.smtp_user, settings.smtp_password or "")
    except BaseException:
        smtp.close()
        raise
    return smtp


def _send(
    smtp: smtplib.SMTP, mail: EmailMessage, recipients: Sequence[str], settings: EmailSettings
) -> Mapping[str, tuple[int, str]]:
    sender = settings.sender.addr_spec if settings.sender else ""
    return _answers(smtp.send_message(mail, sender, list(recipients)))


def _leave(smtp: smtplib.SMTP | None) -> None:
    """QUIT, whatever is said to it: what was taken stays taken."""
    if smtp is not None:
        with suppress(OSError, smtplib.SMTPException):
            smtp.quit()
        smtp.close()


def _context(settings: EmailSettings) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=settings.smtp_ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _answers(given: Mapping[str, tuple[int, bytes]]) -> dict[str, tuple[int, str]]:
    return {who: (code, _text(answer)) for who, (code, answer) in given.items()}


def _refused(refused: Mapping[str, tuple[int, str]], taken: int) -> Outcome:
    """Some or all recipients were refused. One that may be tried again decides."""
    later = {who: answer for who, answer in refused.items() if not _permanent(answer[0])}
    shown = "; ".join(f"{who}: {code} {text}" for who, (code, text) in refused.items())
    detail = line(f"taken for {_count(taken)}, refused for {shown}", 600)
    code = next(iter((later or refused).values()))[0]
    if later:
        return Outcome(False, detail, code)
    return Outcome(taken > 0, detail, 250 if taken else code, final=taken == 0)


def _response(error: smtplib.SMTPResponseException) -> Outcome:
    code, said = error.smtp_code, _text(error.smtp_error)
    detail = line(f"the mail server refused {_step(error)}: {code} {said}", 400)
    return Outcome(False, detail, code, final=_permanent(code))


def _step(error: smtplib.SMTPResponseException) -> str:
    match error:
        case smtplib.SMTPAuthenticationError():
            return "the log-in"
        case smtplib.SMTPSenderRefused():
            return "the sender"
        case smtplib.SMTPDataError():
            return "the mail"
        case _:
            return "the session"


def _permanent(code: int) -> bool:
    return 500 <= code < 600


def _text(answer: bytes | str) -> str:
    return line(answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer, _SAID)


def _said(error: Exception) -> str:
    return line(str(error), _SAID) or type(error).__name__


def _count(number: int) -> str:
    return "1 recipient" if number == 1 else f"{number} recipients"
