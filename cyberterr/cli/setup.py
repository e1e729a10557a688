"""`cyberterr elastic setup`: templates, API keys, what Kibana shows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import click
import msgspec

from cyberterr.cli.options import config_option, debug_option, handle_errors, lang_option, say
from cyberterr.config import load
from cyberterr.errors import UsageError

if TYPE_CHECKING:
    from cyberterr.config import Settings
    from cyberterr.pipeline.elastic_setup import Admin
    from cyberterr.pipeline.findings import Lang

P = ParamSpec("P")
R = TypeVar("R")


def _admin_options(command: Callable[P, R]) -> Callable[P, R]:
    secret = click.Path(path_type=Path, dir_okay=False)
    for option in (
        click.option("--admin-password-file", type=secret, help="File with that user's password."),
        click.option("--admin-user", default="", metavar="NAME", help="User who sets up."),
        click.option(
            "--admin-key-file",
            type=secret,
            help="File with the API key that sets up [default: the environment's "
            "CYBERTERR_ELASTIC_ADMIN_API_KEY, else who [elastic] names].",
        ),
    ):
        command = option(command)
    return command


@click.command()
@click.option("--dry-run", is_flag=True, help="Print every request, send none.")
@click.option(
    "--create-keys",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Create the API keys that this folder lacks, each in a file that only you can read.",
)
@click.option("--kibana", "kibana_url", metavar="URL", help="Import dashboards and rule there too.")
@click.option(
    "--space", default="default", show_default=True, metavar="ID", help="Space of that Kibana."
)
@_admin_options
@lang_option
@config_option
@debug_option
@handle_errors
def setup(
    dry_run: bool,
    folder: Path | None,
    kibana_url: str | None,
    space: str,
    admin_key_file: Path | None,
    admin_user: str,
    admin_password_file: Path | None,
    lang: Lang,
    settings_file: Path | None,
) -> None:
    """Write templates, make API keys, import dashboards; doing it twice changes nothing.

    The component template cyberterr@custom is yours: it is never written.
    """
    from cyberterr.pipeline import elastic_setup as pipeline
    from cyberterr.pipeline.findings import plain

    settings = load(settings_file)
    admin = _admin(admin_key_file, admin_user, admin_password_file)
    kibana = pipeline.Kibana(kibana_url, space, lang) if kibana_url else None
    uploads = pipeline.kibana_uploads(settings, kibana) if kibana else []
    if dry_run:
        _print_requests(settings)
        for upload in uploads:
            click.echo(f"POST {kibana_url}{upload.path}")
            click.echo(f"kbn-xsrf: cyberterr\nmultipart/form-data, file={upload.file}:")
            click.echo(upload.content.decode())
        return
    for done in pipeline.set_up(settings, admin):
        note = f": {plain(done.note, 2000)}" if done.note else ""
        click.echo(f"{done.state:<9}  {done.what}{note}")
    if settings.elastic.flavour == "opensearch":
        say("how long documents are kept is left to an ISM policy of OpenSearch, and who may read")
        say("and write them to its security plugin")
    if folder is not None:
        for key, path, new in pipeline.create_keys(settings, admin, folder):
            click.echo(f"{'created' if new else 'unchanged':<9}  {path}  for {key.use}")
    elif settings.elastic.flavour == "elasticsearch":
        click.echo("\nAPI keys for our programs (--create-keys FOLDER makes them):")
        _print_keys(settings)
    if kibana is not None:
        count = pipeline.import_into(kibana.url, uploads, settings, admin)
        click.echo(f"imported   {count} objects into Kibana, space {space}")


def _admin(key: Path | None, user: str, password: Path | None) -> Admin:
    from cyberterr.pipeline.elastic_setup import Admin

    if key and (user or password):
        raise UsageError("name a key or a user, not both", where="--admin-key-file")
    if bool(user) != bool(password):
        raise UsageError(
            "a user and the file with the password belong together",
            hint="--admin-user NAME --admin-password-file FILE",
        )
    return Admin(str(key or ""), user, str(password or ""))


def _print_requests(settings: Settings) -> None:
    from cyberterr.pipeline import elastic_setup as pipeline

    for request in pipeline.requests(settings):
        params = "&".join(f"{name}={value}" for name, value in (request.params or {}).items())
        _print_request(
            request.method, request.path + (f"?{params}" if params else ""), request.body
        )
    if settings.elastic.flavour == "elasticsearch":
        _print_keys(settings)


def _print_keys(settings: Settings) -> None:
    from cyberterr.pipeline import elastic_setup as pipeline

    for key in pipeline.key_requests(settings):
        click.echo(f"# {key.use}")
        _print_request(key.request.method, key.request.path, key.request.body)


def _print_request(method: str, path: str, body: object) -> None:
    click.echo(f"{method} {path}")
    click.echo(msgspec.json.format(msgspec.json.encode(body), indent=2).decode() + "\n")
