"""The server as a part of an aiohttp application."""

from aiohttp import web

from streamserver import create_app, settings

llm = create_app(settings({"provider": {"default": "echo"}, "limits": {"max_prompt_chars": 2000}}))
app = web.Application()
app.add_subapp("/llm/", llm)

if __name__ == "__main__":
    web.run_app(app, host="127.0.0.1", handler_cancellation=True, access_log=None)
