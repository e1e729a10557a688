"""compose.yaml: what can be shown without Docker. Its scripts run for real, on a genuine server."""

from __future__ import annotations

import json
import os
import re
import ssl
import stat
import subprocess
from pathlib import Path

import pytest

from cyberterr.config import Elastic, load
from cyberterr.elastic.cluster import Request
from cyberterr.elastic.connection import connect

yaml = pytest.importorskip("yaml", reason="PyYAML is not installed (pip install pyyaml)")

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "compose"
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
USERS = {"elasticsearch": 1000, "kibana": 1000, "admin": 10001}

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to other users")


def sources(service: dict) -> list[str]:
    return [volume.split(":")[0] for volume in service.get("volumes", ())]


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_has_limits_and_gains_no_rights(name):
    service = SERVICES[name]
    assert re.fullmatch(r"\d+[mg]", service["mem_limit"])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service.get("privileged")
    assert not service.get("cap_add")


@pytest.mark.parametrize("name", SERVICES)
def test_every_image_is_pinned_or_built_here(name):
    service = SERVICES[name]
    if "build" in service:
        assert (ROOT / service["build"]["dockerfile"]).is_file()
    else:
        assert re.search(r":\d+\.\d+\.\d+$", service["image"])


def test_elasticsearch_and_kibana_are_of_one_version():
    versions = {s["image"].split(":")[1] for s in SERVICES.values() if "build" not in s}
    assert len(versions) == 1


@pytest.mark.parametrize("name", SERVICES)
def test_every_port_is_on_this_machine_only(name):
    for port in SERVICES[name].get("ports", ()):
        assert port.startswith("127.0.0.1:")


@pytest.mark.parametrize("name", SERVICES)
def test_every_file_is_there_and_every_volume_is_named(name):
    for source in sources(SERVICES[name]):
        if source.startswith("./"):
            assert (ROOT / source).is_file() or source == "./captures", source
        else:
            assert source in COMPOSE["volumes"]


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_waits_for_what_it_needs(name):
    for other, how in SERVICES[name].get("depends_on", {}).items():
        if how["condition"] == "service_healthy":
            assert "healthcheck" in SERVICES[other]
        else:
            assert how["condition"] == "service_completed_successfully"
            assert "restart" not in SERVICES[other]


def test_what_runs_on_has_a_health_check():
    for service in SERVICES.values():
        assert ("restart" in service) == ("healthcheck" in service)


def test_each_secret_is_seen_by_those_only_who_need_it():
    readers = {
        volume: {name for name, service in SERVICES.items() if volume in sources(service)}
        for volume in COMPOSE["volumes"]
    }
    assert readers["authority"] == {"secrets"}
    assert readers["admin-secrets"] == {"secrets", "setup"}
    assert readers["kibana-secrets"] == {"secrets", "kibana-user", "kibana"}
    assert readers["elasticsearch-secrets"] == {"secrets", "kibana-user", "elasticsearch"}
    assert readers["keys"] == {"setup", "cyberterr"}


def test_no_secret_and_no_variable_stands_in_any_file():
    secret = re.compile(r"(?i)(password|key|token)\"?\s*[:=]\s*['\"]?[A-Za-z0-9+]{12,}['\"\s]")
    for file in (ROOT / "compose.yaml", *FOLDER.iterdir()):
        assert not secret.search(file.read_text()), file
    assert "${" not in (ROOT / "compose.yaml").read_text()  # it needs no .env file


def test_the_settings_are_settings_and_their_files_are_mounted():
    elastic = load(FOLDER / "settings.toml").elastic
    assert elastic.url == "https://elasticsearch:9200"
    mounted = [volume.split(":")[1] for volume in SERVICES["cyberterr"]["volumes"]]
    for file in (elastic.ca, elastic.api_key_file):
        assert str(Path(file).parent) in mounted
    assert Path(elastic.api_key_file).name == f"cyberterr-sensor-{elastic.namespace}.key"


@pytest.mark.parametrize("script", sorted(FOLDER.glob("*.sh")), ids=lambda path: path.name)
def test_a_script_has_no_mistake_in_its_grammar(script):
    shell = script.read_text().splitlines()[0].removeprefix("#!")
    subprocess.run([shell, "-n", script], check=True)


def test_set_up_is_called_with_options_that_it_has():
    from click.testing import CliRunner

    from cyberterr.cli.elastic import elastic

    known = CliRunner().invoke(elastic, ["setup", "--help"]).stdout
    used = re.findall(r"--[a-z-]+", (FOLDER / "setup.sh").read_text())
    assert used
    assert [option for option in used if option not in known] == []


def make_secrets(distribution, folder: Path) -> str:
    done = subprocess.run(
        ["/bin/bash", FOLDER / "secrets.sh", folder],
        env={
            "PATH": f"{distribution.home / 'bin'}:{os.environ['PATH']}",
            "ES_JAVA_HOME": str(distribution.java.home),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def secrets_folder(elastic_distribution, tmp_path_factory):
    folder = tmp_path_factory.mktemp("secrets")
    assert "secrets are made" in make_secrets(elastic_distribution, folder)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


@as_root
def test_secrets_are_made_once_each_for_its_reader(secrets_folder, elastic_distribution):
    made = contents(secrets_folder)
    for name, user in USERS.items():
        for file in (secrets_folder / name).iterdir():
            assert file.stat().st_uid == user, file
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    password = made["elasticsearch/password"].decode()
    assert re.fullmatch(r"[A-Za-z0-9]{32}", password)
    assert made["admin/password"].decode() == password
    kibana = yaml.safe_load(made["kibana/kibana.yml"])
    assert kibana["elasticsearch.password"] == json.loads(made["kibana/user.json"])["password"]
    drawn = [value for name, value in kibana.items() if "encryptionKey" in name]
    assert len({*drawn, password, kibana["elasticsearch.password"]}) == 5
    assert all(len(value) >= 32 for value in drawn)
    assert {name for name in made if name.startswith("public/")} == {
        "public/ca.crt",
        "public/complete",
    }
    assert "already" in make_secrets(elastic_distribution, secrets_folder)
    assert contents(secrets_folder) == made


@as_root
@pytest.mark.parametrize(
    ("server", "certificate"),
    [("elasticsearch", "elasticsearch/node"), ("kibana", "kibana/kibana")],
)
def test_the_certificates_are_for_their_servers_and_of_their_authority(
    secrets_folder, server, certificate
):
    chain = [secrets_folder / f"{certificate}.{end}" for end in ("crt", "key")]
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(*chain)
    trusting = ssl.create_default_context(cafile=secrets_folder / "public" / "ca.crt")
    for name in (server, "localhost", "127.0.0.1"):
        inward, outward = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = trusting.wrap_bio(inward, outward, server_hostname=name)
        answering = serving.wrap_bio(outward, inward, server_side=True)
        for _ in range(3):
            for side in (client, answering):
                try:
                    side.do_handshake()
                except ssl.SSLWantReadError:
                    continue
        assert client.getpeercert()


def test_kibanas_user_gets_its_password(secured_elasticsearch, tmp_path):
    name, password = secured_elasticsearch.admin
    for part in ("elasticsearch", "kibana", "public"):
        (tmp_path / part).mkdir()
    (tmp_path / "public" / "ca.crt").write_bytes(Path(secured_elasticsearch.ca).read_bytes())
    (tmp_path / "elasticsearch" / "password").write_text("of-the-superuser")
    (tmp_path / "kibana" / "user.json").write_text('{"password": "of-kibana-itself"}')
    (tmp_path / "admin").write_text(password)
    (tmp_path / "of-kibana").write_text("of-kibana-itself")
    for file in ("admin", "of-kibana"):
        (tmp_path / file).chmod(0o600)

    def as_user(user: str, file: str):
        ca = str(secured_elasticsearch.ca)
        url = secured_elasticsearch.url
        return connect(Elastic(url=url, ca=ca, user=user, password_file=str(tmp_path / file)))

    path = "/_security/user/elastic/_password"
    as_user(name, "admin").ask(Request("POST", path, {"password": "of-the-superuser"}))
    subprocess.run(
        ["/bin/bash", FOLDER / "kibana-user.sh", secured_elasticsearch.url, tmp_path], check=True
    )
    me = as_user("kibana_system", "of-kibana").ask(Request("GET", "/_security/_authenticate"))
    assert me["username"] == "kibana_system"
