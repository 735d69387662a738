"""jinja2 as transformers sets it up for chat templates: what ours is held against.

Needs PyPI jinja2==3.1.2 (and the markupsafe that comes with it).
"""
import datetime
import json

import jinja2
import jinja2.compiler
import jinja2.ext
import jinja2.nodes
import jinja2.sandbox


class Generation(jinja2.ext.Extension):
    """{% generation %} … {% endgeneration %} shows its body, in a scope of its own."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    def _body(self, caller):
        return caller()


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators,
                      sort_keys=sort_keys)


class NothingFolded(jinja2.compiler.CodeGenerator):
    """Computes nothing while it compiles."""

    def _output_child_to_const(self, node, frame, finalize):
        if isinstance(node, jinja2.nodes.TemplateData):
            return super()._output_child_to_const(node, frame, finalize)
        raise jinja2.nodes.Impossible()


def comparable(make):
    """A filter whose result shows itself without an address."""
    def call(*args, **kwargs):
        made = make(*args, **kwargs)
        if not hasattr(made, "__next__"):
            return made
        kind = type(made).__name__
        members = {"__iter__": lambda self: self, "__next__": lambda self: next(made),
                   "__repr__": lambda self: f"<{kind} object>", "__module__": "builtins"}
        return type(kind, (), members)()

    if hasattr(make, "jinja_pass_arg"):
        call.jinja_pass_arg = make.jinja_pass_arg
    return call


def environment(now, folding=True):
    env = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True,
        extensions=[Generation, jinja2.ext.loopcontrols])
    if not folding:
        env.code_generator_class, env.optimized = NothingFolded, False
    moment = datetime.datetime(*now)

    def strftime_now(format):
        return moment.strftime(format)

    for name in ("batch", "slice", "map", "select", "reject", "selectattr", "rejectattr", "unique",
                 "items", "reverse"):
        env.filters[name] = comparable(env.filters[name])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = strftime_now
    return env


def render(env, template, context):
    """(text, None) or (None, (class of the error, its message))."""
    try:
        return env.from_string(template).render(**context), None
    except Exception as error:
        return None, (type(error).__name__, str(error))
