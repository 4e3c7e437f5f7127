from streamserver_ollama import KIND

from providers.testing import HttpProviderContract


class TestOllama(HttpProviderContract):
    kind = KIND
    content_type = "application/x-ndjson"
    pieces = (
        b'{"message": {"content": "Hel"}, "done": false}\n',
        b'{"message": {"content": "lo"}, "done": false}\n',
        b'{"message": {"content": ""}, "done": true, "done_reason": "stop", "prompt_eval_count": 7, "eval_count": 2}\n',
    )
