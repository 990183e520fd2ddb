"""The page in a real browser: filled in, sent, read and downloaded."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployment_fixture import new_sheets
from serving_fixture import running

CHROMIUM, DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
OFFLINE = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--window-size=1200,1000"),
)
PATIENCE_S = 120

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (CHROMIUM.exists() and DRIVER.exists()),
        reason="needs chromium and chromium-driver in /usr/bin",
    ),
]
webdriver = pytest.importorskip("selenium.webdriver")


class Browser:
    """Chromium that downloads into a folder."""

    def __init__(self, folder: Path) -> None:
        from selenium.webdriver.chrome.service import Service

        self.downloads = folder / "downloads"
        self.downloads.mkdir()
        options = webdriver.ChromeOptions()
        options.binary_location = str(CHROMIUM)
        for flag in (*OFFLINE, f"--user-data-dir={folder / 'profile'}"):
            options.add_argument(flag)
        places = {"download.default_directory": str(self.downloads)}
        options.add_experimental_option("prefs", places)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(str(DRIVER)))

    def find(self, selector: str):
        return self.driver.find_element("css selector", selector)

    def fill(self, **values: str) -> None:
        """Type or choose values, or files, by the end of the name of their field."""
        for name, value in values.items():
            self.find(f'[name="{name}"], [name$=":{name}"]').send_keys(value)

    def until(self, selector: str) -> None:
        """Wait until a page has an element."""
        end = time.monotonic() + PATIENCE_S
        while not self.driver.find_elements("css selector", selector):
            assert time.monotonic() < end, self.find("body").text
            time.sleep(0.2)

    def fits(self, width: int) -> bool:
        """Whether the page needs no scrolling sideways on a screen of a width."""
        screen = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": True}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        return self.driver.execute_script("return document.documentElement.scrollWidth") <= width

    def downloaded(self, name: str) -> Path:
        """A file, once it is there."""
        end = time.monotonic() + PATIENCE_S
        while not (self.downloads / name).exists():
            assert time.monotonic() < end
            time.sleep(0.2)
        return self.downloads / name


@pytest.fixture(scope="module")
def address(served_package: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(served_package, tmp_path_factory.mktemp("out")) as (found, process):
        yield found
        process.terminate()
        assert process.wait(timeout=60) == 0


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    found = Browser(tmp_path)
    yield found
    found.driver.quit()
    shutil.rmtree(tmp_path / "profile", ignore_errors=True)


def test_a_patient_is_filled_in_predicted_and_downloaded(
    browser: Browser, address: str, tmp_path: Path
) -> None:
    _, genes = new_sheets(tmp_path, 1)
    genes.assign(patient_id="P1").to_csv(tmp_path / "genes.csv", index=False)
    browser.driver.get(address)
    assert browser.fits(390)
    browser.fill(patient_id="P1", age="61", stage="II", omics=str(tmp_path / "genes.csv"))
    browser.find("button").click()
    browser.until(".reviewed")
    text = browser.find("body").text
    assert "Is this right?" in text and "Not known: sex." in text
    assert browser.fits(390)
    browser.find("button").click()
    browser.until("iframe")
    assert browser.fits(390)
    links = {one.text: one for one in browser.driver.find_elements("css selector", ".taken a")}
    assert {"Report", "Sheet for the patient", "JSON"} <= set(links)
    links["JSON"].click()
    record = json.loads(browser.downloaded("P1.json").read_text())
    browser.driver.switch_to.frame(browser.find("iframe"))
    report = browser.find("body").text
    risk = round(100 * record["estimates"]["horizons"][-1]["risk"])
    assert "Patient P1" in report and f"about {risk} have" in " ".join(report.split())
    assert browser.driver.get_log("browser") == []  # nothing that the policy had to stop


def test_a_hostile_id_is_shown_and_not_run(browser: Browser, address: str) -> None:
    browser.driver.get(address)
    browser.fill(patient_id="<script>document.title='run'</script>", age="<b>6</b>")
    browser.find("button").click()
    browser.until(".finding.warn")
    text = browser.find("body").text
    assert "Please correct this" in text and "“<b>6</b>” is not a number" in text
    assert browser.driver.title == "Not predicted"
    assert not browser.driver.find_elements("css selector", ".finding script, .finding p b b")


def test_the_page_works_without_scripts(browser: Browser, address: str) -> None:
    browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    browser.driver.get(address)
    browser.fill(patient_id="P2", age="70")
    browser.find("button").click()
    browser.until(".reviewed")
    browser.find("button").click()
    browser.until("iframe")
    assert "Patient P2" in browser.find("h1").text
