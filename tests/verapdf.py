"""Asks veraPDF whether files keep the standards that they claim, all in one Java process:
`python -m tests.verapdf FILE=FLAVOUR...` prints, for each, the rules that it breaks."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import jpype

from infra.local import artifacts, java

OPTIONS = ("-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "--enable-native-access=ALL-UNNAMED")


def broken_rules(asked: Sequence[tuple[Path, str]]) -> list[list[str]]:
    """Return, for each file and flavour (`2b`, `ua1`), what it breaks. Another process starts Java: one has it for good."""
    words = [f"{path}={flavour}" for path, flavour in asked]
    ran = subprocess.run([sys.executable, "-m", "tests.verapdf", *words], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    found: list[list[str]] = json.loads(ran.stdout.splitlines()[-1])
    return found


def _asked(words: Sequence[str]) -> list[list[str]]:
    artifacts.fetch(["verapdf"])
    jars = [str(each.path) for each in artifacts.locked("verapdf")]
    (machine,) = java.find().executable.resolve().parents[1].glob("lib/server/libjvm.*")
    jpype.startJVM(str(machine), *OPTIONS, classpath=jars)
    jpype.JClass("org.verapdf.gf.foundry.VeraGreenfieldFoundryProvider").initialise()
    return [_broken(*word.rsplit("=", 1)) for word in words]


def _broken(path: str, flavour: str) -> list[str]:
    foundry = jpype.JClass("org.verapdf.pdfa.Foundries").defaultInstance()
    wanted = jpype.JClass("org.verapdf.pdfa.flavours.PDFAFlavour").byFlavourId(flavour)
    with foundry.createParser(jpype.JClass("java.io.FileInputStream")(path), wanted) as parser:
        result = foundry.createValidator(wanted, False).validate(parser)
        rules = [f"{each.getRuleId().getClause()}: {each.getMessage()}" for each in result.getTestAssertions()]
    return sorted(set(rules)) or ([] if result.isCompliant() else ["not compliant"])


if __name__ == "__main__":
    print(json.dumps(_asked(sys.argv[1:])))
