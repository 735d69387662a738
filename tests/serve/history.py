"""A model of what a server did: every event of every request as its client saw it, the lines of the
server's log, its metrics, and what is left of all of it.

mix.py makes what is asked, recorder.py and rpc_recorder.py ask it and make the records, forms.py
reads out of them what a client saw, and rules.py says what of docs/faults.md a history breaks.
"""
import dataclasses

GENERATES = ("completion", "chat", "vllm", "sglang", "tgi")
POOLS = ("embedding", "score", "rerank")


@dataclasses.dataclass(frozen=True)
class Ask:
    """What a client wants. `body` is that of HTTP, as a dict, or as bytes where no JSON says it;
    over gRPC the same is said in a message."""
    id: str
    form: str                    # one of GENERATES or POOLS; "other": read as far as it is JSON
    route: str
    body: object
    is_rpc: bool = False
    is_stream: bool = False
    is_fixed: bool = True        # it has one answer, whenever and beside whomever it is asked
    n_prompts: int = 1           # of which each has n_choices
    n_choices: int = 1
    statuses: tuple = (200,)     # what it may be answered
    has_route: bool = True       # there is something at its path
    is_read: bool = True         # it comes so far that the server knows its path and its id
    method: str = "POST"


@dataclasses.dataclass
class Record:
    """What happened to it: (seconds, name, value), in order. Names:
    "sent"     all of the request is on its way
    "head"     (status, headers) of a response of HTTP; names of headers in small letters
    "data"     bytes of its body
    "message"  one of gRPC, as a dict
    "status"   (number as of HTTP, trailers) of gRPC
    "end"      the response came to the end that its protocol marks
    "left"     its client went away, by its own will
    "lost"     the server ended the connection before that"""
    ask: Ask
    events: list = dataclasses.field(default_factory=list)

    def add(self, seconds, name, value=None):
        self.events.append((seconds, name, value))

    def all(self, name):
        return [value for _, what, value in self.events if what == name]

    def has(self, name):
        return any(what == name for _, what, _ in self.events)


@dataclasses.dataclass
class Choice:
    text: str = ""
    token_ids: list = None  # None: this form does not tell
    rows: list = None       # of log-probabilities, a row a token, as the form writes them
    finish: str = None
    is_over: bool = False   # of a form whose last event has the text
    stop: object = None     # the text or the token that ended it


@dataclasses.dataclass
class Seen:
    """What all events of a record say together."""
    status: int = None                           # None: nothing came
    headers: dict = dataclasses.field(default_factory=dict)
    choices: dict = dataclasses.field(default_factory=dict)
    values: list = None                          # of vectors and scores
    prompt: list = None                          # what is told of it: ids, log-probabilities
    usage: dict = None
    error: dict = None
    is_whole: bool = False                       # it came to its end
    faults: list = dataclasses.field(default_factory=list)  # against the form itself

    @property
    def is_good(self):
        return self.status == 200 and self.error is None


@dataclasses.dataclass
class History:
    records: list
    seen: dict                                   # of each id
    alone: dict                                  # by id: what the same request got, asked alone
    log: list                                    # lines of standard error
    errors: tuple = ()                           # that it may tell, by parts of them
    before: dict = None                          # metrics: a number by name and labels
    after: dict = None
    at_rest: dict = None                         # what is left 2 s after the last one, by name
    at_start: dict = None                        # and was there before the first one
