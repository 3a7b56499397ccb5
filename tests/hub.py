"""A model hub on this machine: repositories that are pushed to and fetched from, as huggingface_hub's client asks."""

import base64
import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import yaml


class SmallHub:
    """``repos`` by name: whether private, and commits by branch; ``served`` and ``asked`` tell what a client did."""

    def __init__(self) -> None:
        self.private: dict[str, bool] = {}
        self.branches: dict[str, dict[str, str]] = {}
        self.commits: dict[str, dict[str, bytes]] = {}
        self.objects: dict[str, bytes] = {}  # of git LFS, by SHA-256
        self.served: list[str] = []
        self.asked: list[str] = []
        self.read_only = False
        self.url = ""

    def put(self, name: str, files: dict[str, bytes], branch: str = "main") -> str:
        """Make ``files`` all that the branch has; the commit."""
        commit = hashlib.sha1(repr((name, sorted(files.items()), len(self.commits))).encode()).hexdigest()
        self.commits[commit] = dict(files)
        self.private.setdefault(name, False)
        self.branches.setdefault(name, {})[branch] = commit
        return commit

    def files(self, name: str, revision: str = "main") -> dict[str, bytes]:
        return self.commits[self.branches[name].get(revision, revision)]


@contextmanager
def small_hub() -> Iterator[SmallHub]:
    hub = SmallHub()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Asked", (Handler,), {"hub": hub}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    yield hub
    server.shutdown()
    server.server_close()


def go_to(hub: SmallHub, cache: Path, monkeypatch) -> None:
    """Have the client in this process ask ``hub`` and keep what it fetches in ``cache``."""
    from huggingface_hub import constants

    for name, value in {
        "ENDPOINT": hub.url,
        "HUGGINGFACE_CO_URL_TEMPLATE": hub.url + "/{repo_id}/resolve/{revision}/{filename}",
        "HF_HUB_CACHE": str(cache),
        "HF_HUB_OFFLINE": False,
        "HF_HUB_DISABLE_XET": True,
    }.items():
        monkeypatch.setattr(constants, name, value)


class Handler(http.server.BaseHTTPRequestHandler):
    hub: SmallHub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        hub, path = self.hub, unquote(urlsplit(self.path).path)
        hub.asked.append(f"{self.command} {path}")
        if path == "/":
            return self.send(b"")
        if path.startswith("/api/models/"):
            user, name, *rest = path.removeprefix("/api/models/").split("/")
            name, revision = f"{user}/{name}", "/".join(rest[1:]) or "main"
            if (commit := self.commit(name, revision)) is None:
                return None
            files = hub.commits[commit]
            if rest[:1] == ["tree"]:
                return self.json([self.entry(file, content) for file, content in files.items()])
            siblings = [{"rfilename": file} for file in files]
            return self.json({"id": name, "sha": commit, "private": hub.private[name], "siblings": siblings})
        if path.startswith("/api/"):
            return self.refuse(404, "")
        user, name, _, revision, file = path[1:].split("/", 4)
        if (commit := self.commit(f"{user}/{name}", revision)) is None:
            return None
        if file not in hub.commits[commit]:
            return self.refuse(404, "EntryNotFound")
        if self.command == "GET":
            hub.served.append(file)
        content = hub.commits[commit][file]
        return self.send(content, {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": commit})

    def do_POST(self) -> None:
        hub, path = self.hub, unquote(urlsplit(self.path).path)
        hub.asked.append(f"POST {path}")
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if path == "/api/validate-yaml":
            head = json.loads(body)["content"].split("---\n")[1]
            told = yaml.safe_load(head)
            faults = [] if all(isinstance(r, dict) for r in told.get("model-index", [])) else [{"message": "bad"}]
            return self.json({"errors": faults, "warnings": []}, 400 if faults else 200)
        if hub.read_only:
            return self.refuse(403, "")
        if path == "/api/repos/create":
            told = json.loads(body)
            name = f"{told['organization']}/{told['name']}"
            if name in hub.private:
                return self.refuse(409, "")
            hub.private[name] = told.get("visibility") == "private"
            hub.put(name, {".gitattributes": b"*.onnx filter=lfs"})
            return self.json({"url": f"{hub.url}/{name}"})
        if path.endswith(".git/info/lfs/objects/batch"):
            objects = json.loads(body)["objects"]
            for thing in objects:
                thing["actions"] = {"upload": {"href": f"{hub.url}/lfs/{thing['oid']}"}}
            return self.json({"transfer": "basic", "objects": objects})
        user, name, what, revision = path.removeprefix("/api/models/").split("/", 3)
        name = f"{user}/{name}"
        if what == "branch":
            if revision in hub.branches[name]:
                return self.refuse(409, "")
            hub.branches[name][revision] = hub.branches[name]["main"]
            return self.json({})
        if what == "preupload":
            return self.json(
                {
                    "files": [
                        {
                            "path": file["path"],
                            "uploadMode": "lfs" if file["path"].endswith((".onnx", ".safetensors")) else "regular",
                            "shouldIgnore": False,
                        }
                        for file in json.loads(body)["files"]
                    ]
                }
            )
        assert what == "commit" and not parse_qs(urlsplit(self.path).query)
        files = dict(hub.files(name, revision))
        for line in body.decode().splitlines():
            told = json.loads(line)
            value = told["value"]
            if told["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif told["key"] == "lfsFile":
                files[value["path"]] = hub.objects[value["oid"]]
            elif told["key"] == "deletedFile":
                del files[value["path"]]
        commit = hub.put(name, files, revision)
        return self.json({"commitUrl": f"{hub.url}/{name}/commit/{commit}", "commitOid": commit})

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.hub.objects[hashlib.sha256(content).hexdigest()] = content
        self.send(b"")

    def commit(self, name: str, revision: str) -> str | None:
        """The commit of a revision; else it is refused as the hub refuses."""
        if name not in self.hub.branches:
            return self.refuse(401, "RepoNotFound")
        commit = self.hub.branches[name].get(revision, revision)
        return commit if commit in self.hub.commits else self.refuse(404, "RevisionNotFound")

    def entry(self, file: str, content: bytes) -> dict:
        return {"type": "file", "path": file, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}

    def json(self, value: object, status: int = 200) -> None:
        self.send(json.dumps(value).encode(), {"Content-Type": "application/json"}, status)

    def refuse(self, status: int, code: str) -> None:
        self.send(b"{}", {"X-Error-Code": code} if code else {}, status)

    def send(self, content: bytes, headers: dict[str, str] | None = None, status: int = 200) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass
