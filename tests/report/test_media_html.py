"""Verdicts on a page and on paper."""

import base64
import io
import re
import shutil
import socket
import subprocess
import sys
import wave

import pytest

from cyberterr.contracts.site import Site
from cyberterr.errors import MissingPartError, UsageError
from cyberterr.report import media_html
from tests.report.a_verdict import FORGED, HOSTILE, NOISY, examined, found
from tests.report.test_html import Page

SITE = Site(name="Mairie")


@pytest.fixture(scope="module")
def signs():
    return examined(found())


@pytest.fixture(scope="module")
def source(signs):
    return media_html.render([signs], SITE)


def test_the_page_is_whole_and_asks_the_network_for_nothing(source):
    page = Page(source)
    assert set(page.tags) & {"script", "link", "img", "iframe", "object", "base", "form"} == set()
    references = page.values("src", "href", "action", "data")
    assert references
    assert all(
        value.startswith(("#", "data:image/png;", "data:audio/wav;")) for value in references
    )
    assert "url(" not in source
    assert "@import" not in source
    policy = next(v for v in page.values("content") if "default-src" in v)
    assert policy.startswith("default-src 'none';")
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]


def test_every_id_is_there_once_and_every_link_leads_somewhere():
    items = [examined(found(name=name)) for name in ("a.wav", "b.wav")]
    page = Page(media_html.render(items, SITE))
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    assert {value[1:] for value in page.values("href") if value.startswith("#")} <= set(ids)


def test_both_languages_tell_all_and_the_asked_one_is_shown_first(signs):
    source = media_html.render([signs], SITE, "fr")
    text = Page(source).text
    for said in (
        ("Signs of synthesis", "Indices de synthèse"),
        ("It sounds like a machine.", "Cela ressemble à une machine."),
        ("5.1 % (6 of 117; 95 % interval 2.4 to 11 %)", "5,1 % (6 sur 117"),
        ("score 0.84", "score 0,84"),
        ("A codec.", "Un codec."),
        ("Cut sentences.", "Phrases coupées."),
        ("Call back.", "Rappelez."),
        ("Conclusion of a named person", "Conclusion d’une personne désignée"),
        ("+0.21", "+0,21"),
    ):
        assert all(each in text for each in said), said
    assert re.findall(r'id="lang-(..)"[^>]* checked', source) == ["fr"]


def test_the_answer_and_its_limits_come_before_any_picture():
    item = examined(found("cannot_say", limits=(NOISY,)))
    source = media_html.render([item], SITE)
    assert source.index("Cannot say") < source.index("Too noisy.") < source.index("<figure>")
    assert Page(source).text.count("Too noisy.") == 1


def test_the_measured_error_stands_beside_every_picture(source):
    english = source[source.index('<main class="in-en"') : source.index('<main class="in-fr"')]
    # spectrogram, timeline, bands, and the list itself
    assert english.count("false alarms on the worst source: 5.1 %") == 4


def test_hostile_names_and_tags_are_text():
    source = media_html.render([examined(found(name=HOSTILE, provenance=FORGED))], SITE)
    page = Page(source)
    assert "script" not in page.tags
    assert page.text.count('<script src="http://x.example/a.js">') >= 8
    assert not {"\x1b", "\u202e"} & set(source)


def test_what_can_be_listened_to_is_what_was_judged(source):
    encoded = re.findall(r'src="data:audio/wav;base64,([^"]+)"', source)
    assert len(encoded) == 4  # two parts in two languages
    with wave.open(io.BytesIO(base64.b64decode(encoded[0]))) as heard:
        assert (heard.getframerate(), heard.getnframes()) == (16_000, 64_000)
    places = re.findall(r"<li><span>(.*?)</span>", source)
    assert places == ["0 s", "4 s"] * 2


def test_of_several_files_the_worst_comes_first_in_a_table():
    items = [
        examined(found("no_sign_found", name="fine.wav", score=0.1)),
        examined(found("cannot_say", name="unclear.wav", score=0.05, limits=(NOISY,))),
        examined(found(name="false.wav")),
    ]
    source = media_html.render(items, SITE)
    table = source[source.index("<nav>") : source.index("</nav>")]
    assert re.findall(r">(\w+)\.wav<", table) == ["false", "unclear", "fine"]
    assert "0.84 (0.79 – 0.89)" in table


def test_of_many_files_the_page_still_opens():
    many = [examined(found(name=f"{n}.wav")) for n in range(media_html.HEARD + 30)]
    source = media_html.render(many, SITE, languages=("en",))
    assert source.count("<audio") == 2 * media_html.HEARD
    assert source.count("<article") == len(many)
    assert "The first 20 files can be listened to" in source


def test_a_file_of_which_nothing_could_be_heard_is_told_without_pictures():
    nothing = media_html.Examined(finding=found("cannot_say", score=None, limits=(NOISY,)))
    source = media_html.render([nothing], SITE)
    assert "nothing could be scored" in source
    assert "<figure>" not in source
    assert "<audio" not in source


def test_a_score_is_never_certainty():
    source = media_html.render([examined(found(score=1.0))], SITE)
    assert "score 0.99 on a scale" in source
    assert "score 1 " not in source


def test_no_file_at_all_is_said():
    assert "No file could be examined." in media_html.render([], SITE)


def test_a_pdf_has_text_in_one_language_and_the_empty_box(signs, tmp_path):
    if not shutil.which("pdftotext"):
        pytest.skip("pdftotext (poppler-utils) is not installed")
    path = tmp_path / "verdict.pdf"
    media_html.write(path, [signs], SITE, "fr")
    assert path.read_bytes().startswith(b"%PDF-")
    run = subprocess.run(["pdftotext", "-layout", path, "-"], check=True, capture_output=True)
    text = " ".join(run.stdout.decode().split())
    for said in ("Indices de synthèse", "5f5f5f", "Nom et fonction", "Le rapport HTML permet"):
        assert said in text
    assert "Signs of synthesis" not in text


def test_a_pdf_shows_the_spectrogram_and_not_its_frames_filled(signs, tmp_path):
    if not shutil.which("pdftoppm"):
        pytest.skip("pdftoppm (poppler-utils) is not installed")
    import numpy as np
    from PIL import Image

    path = tmp_path / "verdict.pdf"
    media_html.write(path, [signs], SITE)
    subprocess.run(["pdftoppm", "-r", "50", "-png", "-l", "1", path, tmp_path / "p"], check=True)
    page = np.asarray(Image.open(next(tmp_path.glob("p*.png"))).convert("RGB")).astype(int)
    blue = (page[..., 2] > page[..., 0] + 8) & (page.sum(axis=2) < 200)  # silence in the picture
    assert blue.sum() > 2000


def test_making_a_pdf_fetches_nothing():
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        port = server.getsockname()[1]
        made = media_html._pdf(f'<p>x</p><img src="http://127.0.0.1:{port}/a.png">')
        assert made.startswith(b"%PDF-")
        with pytest.raises(TimeoutError):
            server.accept()


def test_without_its_library_a_pdf_is_refused_with_the_package_to_install(
    signs, tmp_path, monkeypatch
):
    (tmp_path / "weasyprint.py").write_text("raise OSError('cannot load libpango-1.0-0')")
    for name in [n for n in sys.modules if n.split(".")[0] == "weasyprint"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingPartError) as raised:
        media_html.write(tmp_path / "verdict.pdf", [signs], SITE)
    assert "apt install libpango-1.0-0" in str(raised.value.hint)
    assert not (tmp_path / "verdict.pdf").exists()


def test_another_ending_is_refused(signs, tmp_path):
    with pytest.raises(UsageError):
        media_html.write(tmp_path / "verdict.docx", [signs], SITE)
    assert list(tmp_path.iterdir()) == []
