"""`python deploy/sbom.py requirements.txt` writes the bill of materials of a hashed lock: CycloneDX 1.6, in JSON.

Everything that is installed stands in the lock with the digests of its files, so the lock is all that is read. The same
lock gives the same bytes: there is no time in it, and its serial number is made of its content.
"""

from __future__ import annotations

import json
import sys
import tomllib
import uuid
from pathlib import Path

from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from pip_requirements_parser import RequirementsFile

ROOT = Path(__file__).parents[1]
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:graft:sbom")


def bill(lock: Path) -> str:
    """The document, as JSON. Raises ValueError for a requirement without version or digest."""
    bom = Bom(serial_number=uuid.uuid5(NAMESPACE, lock.read_text()), components=_components(lock))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    bom.metadata.component = Component(
        type=ComponentType.APPLICATION,
        name=project["name"],
        version=project["version"],
        bom_ref=f"{project['name']}@{project['version']}",
    )
    bom.register_dependency(bom.metadata.component, bom.components)
    told = json.loads(JsonV1Dot6(bom).output_as_string())
    del told["metadata"]["timestamp"]
    return json.dumps(told, indent=2, sort_keys=True) + "\n"


def _components(lock: Path) -> list[Component]:
    """One for each requirement, with the digests of all its files that may be installed."""
    found = []
    for requirement in RequirementsFile.from_file(str(lock)).requirements:
        version = next((spec.version for spec in requirement.specifier or ()), None)
        if not version or not requirement.hash_options:
            raise ValueError(f"{requirement.name} is not pinned with its hashes")
        digests = [
            option.removeprefix("--hash=").removeprefix("sha256:") for option in requirement.hash_options
        ]
        purl = PackageURL("pypi", name=requirement.name, version=version)
        found.append(
            Component(
                type=ComponentType.LIBRARY,
                name=requirement.name,
                version=version,
                purl=purl,
                bom_ref=str(purl),
                hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest) for digest in digests],
            )
        )
    return found


if __name__ == "__main__":
    sys.stdout.write(bill(Path(sys.argv[1])))
