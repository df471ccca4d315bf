"""The ledger's tables: insert-only, ``run_id`` everywhere, one database a workspace.

Nothing of a run's record is ever updated or deleted; what a row means never changes. The order of
a run's attempts is their ``attempt_id``, that of its decisions, events and requests their
``sequence``. Only ``driver`` and ``worker`` change: they say who is at work just now.

The service's own tables (``job``, ``token``, ``session``, ``audit``) stand beside the runs.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

REVISION = "0004"
"""Schema that this code reads and writes: the newest migration."""

KNOWN_REVISIONS = ("0001", "0002", "0003", "0004")
"""Every migration, oldest first."""

METADATA = MetaData()

run = Table(
    "run",
    METADATA,
    Column("run_id", String(32), primary_key=True),
    Column("name", String(255), nullable=False),
    Column("started_s", Float, nullable=False),
    Column("config", JSON, nullable=False),
    Column("sources", JSON, nullable=False),  # name -> path, sha256, revision …
    Column("tasks", JSON, nullable=False),  # name -> fingerprint, metrics, split sizes
    Column("space", JSON, nullable=False),
    Column("starts", JSON, nullable=False),  # [[label, genome], …] of generation 0
    Column("versions", JSON, nullable=False),  # package -> version
    Column("plugins", JSON, nullable=False),  # [[path, sha256], …]
    Column("reuse", Boolean, nullable=False),
)

recipe = Table(
    "recipe",
    METADATA,
    Column("run_id", String(32), primary_key=True),  # names and paths belong to a run, not the hash
    Column("recipe_hash", String(64), primary_key=True),
    Column("body", Text, nullable=False),  # canonical JSON
)

candidate = Table(
    "candidate",
    METADATA,
    Column("run_id", String(32), primary_key=True),
    Column("candidate_id", String(255), primary_key=True),  # ASK-INDEX, ref-NAME, uniform
    Column("ask", Integer, nullable=False),  # -1 for a reference
    Column("place", Integer, nullable=False),  # index within its ask
    Column("kind", String(16), nullable=False),  # search, reference
    Column("origin", String(255), nullable=False),
    Column("parents", JSON, nullable=False),
    Column("genome", JSON),
    Column("recipe_hash", String(64), nullable=False),
)

attempt = Table(
    "attempt",
    METADATA,
    Column("attempt_id", Integer, primary_key=True, autoincrement=True),
    Column("run_id", String(32), nullable=False),
    Column("candidate_id", String(255), nullable=False),
    Column("split", String(16), nullable=False),
    Column("number", Integer, nullable=False),
    Column("status", String(8), nullable=False),  # done, failed, lost (to be tried again)
    Column("failure_kind", String(16)),
    Column("failure_message", Text),
    Column("failure_detail", Text),
    Column("merge_s", Float, nullable=False),
    Column("score_s", Float, nullable=False),
    Column("worker", String(255), nullable=False),
    Column("numeric_class", String(255), nullable=False),
    Column("reused", Boolean, nullable=False),  # every block came from the cache
    Column("notes", JSON, nullable=False),
    Column("finished_s", Float, nullable=False),
    Column("tokenise_s", Float, nullable=False, server_default="0"),
    Column("wait_s", Float, nullable=False, server_default="0"),
    Column("busy_s", Float, nullable=False, server_default="0"),
    Column("devices", Float, nullable=False, server_default="1"),
    UniqueConstraint("run_id", "candidate_id", "split", "number", name="one_row_an_attempt"),
)

score_block = Table(
    "score_block",
    METADATA,
    Column("run_id", String(32), primary_key=True),
    Column("candidate_id", String(255), primary_key=True),
    Column("task", String(255), primary_key=True),
    Column("split", String(16), primary_key=True),
    Column("metric", String(255), primary_key=True),
    Column("block", Integer, primary_key=True),
    Column("n", Integer, nullable=False),
    Column("width", Integer, nullable=False),
    Column("data", LargeBinary, nullable=False),  # zlib of little-endian float64, (n, width)
    Column("cache_key", String(64), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("reused", Boolean, nullable=False),
    Index("score_block_by_cache_key", "cache_key"),
)

answer_block = Table(
    "answer_block",
    METADATA,
    Column("run_id", String(32), primary_key=True),
    Column("candidate_id", String(255), primary_key=True),
    Column("task", String(255), primary_key=True),
    Column("split", String(16), primary_key=True),
    Column("block", Integer, primary_key=True),
    Column("data", LargeBinary, nullable=False),  # zlib of a JSON list
)

estimate = Table(
    "estimate",
    METADATA,
    Column("run_id", String(32), primary_key=True),
    Column("candidate_id", String(255), primary_key=True),
    Column("split", String(16), primary_key=True),
    Column("task", String(255), primary_key=True),
    Column("metric", String(255), primary_key=True),
    Column("n", Integer, nullable=False),
    Column("value", Float, nullable=False),
    Column("low", Float, nullable=False),
    Column("high", Float, nullable=False),
)

decision = Table(
    "decision",
    METADATA,
    Column("run_id", String(32), primary_key=True),
    Column("sequence", Integer, primary_key=True),
    Column("kind", String(16), nullable=False),  # ask, tell, extend, final, open_test, stop, scale
    Column("body", JSON, nullable=False),
    Column("made_s", Float, nullable=False),
)

event = Table(
    "event",
    METADATA,
    Column("run_id", String(32), primary_key=True),
    Column("sequence", Integer, primary_key=True),
    Column("kind", String(32), nullable=False),
    Column("body", JSON, nullable=False),
    Column("at_s", Float, nullable=False),
)

# An attempt that was handed out. One without a row in ``attempt`` is in flight, or was when its
# driver died.
lease = Table(
    "lease",
    METADATA,
    Column("run_id", String(32), primary_key=True),
    Column("candidate_id", String(255), primary_key=True),
    Column("split", String(16), primary_key=True),
    Column("number", Integer, primary_key=True),  # the fencing token
    Column("epoch", Integer, nullable=False),  # of the driver that handed it out
    Column("granted_s", Float, nullable=False),
)

# What other processes ask of the run's driver, who answers with a decision; and remarks, which
# nobody answers.
request = Table(
    "request",
    METADATA,
    Column("run_id", String(32), primary_key=True),
    Column("sequence", Integer, primary_key=True),
    Column("kind", String(16), nullable=False),  # scale, note, star, talk
    Column("body", JSON, nullable=False),
    Column("made_s", Float, nullable=False),
)

# What models said to the prompt of a request ``talk``: a row when one begins to answer, and one
# when it has. One that has begun alone is being answered, or was when its process ended.
reply = Table(
    "reply",
    METADATA,
    Column("reply_id", Integer, primary_key=True, autoincrement=True),
    Column("run_id", String(32), nullable=False),
    Column("talk", Integer, nullable=False),  # the request's sequence
    Column("model", String(255), nullable=False),  # a candidate's id, or ref-NAME
    Column("state", String(8), nullable=False),  # begun, done, failed
    Column("text", Text, nullable=False),  # the answer, or why there is none
    Column("facts", JSON, nullable=False),
    Column("worker", String(255), nullable=False),
    Column("at_s", Float, nullable=False),
    Index("reply_by_talk", "run_id", "talk"),
)

# Who drives a run: each write of a driver holds this row and finds its own epoch in it.
driver = Table(
    "driver",
    METADATA,
    Column("run_id", String(32), primary_key=True),
    Column("epoch", Integer, nullable=False),
    Column("holder", String(255), nullable=False),  # HOST:PID
    Column("beat_s", Float, nullable=False),  # by the database's clock
    Column("lease_s", Float, nullable=False),  # valid for so long after a beat; 0: given back
    Column("writes", BigInteger, nullable=False, server_default="0"),  # transactions of drivers
)

worker = Table(
    "worker",
    METADATA,
    Column("run_id", String(32), primary_key=True),
    Column("worker", String(255), primary_key=True),
    Column("node", String(255), nullable=False),
    Column("device", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("candidate_id", String(255)),
    Column("attempt", Integer),
    Column("since_s", Float, nullable=False),
    Column("jobs", Integer, nullable=False),
    Column("busy_s", Float, nullable=False),
    Column("alive_s", Float, nullable=False),
    Column("memory_bytes", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("beat_s", Float, nullable=False),
)

# What the service was asked to do. Its supervisor changes ``state``, users change ``wanted`` and
# ``priority``, and the job's own process writes ``outcome``.
job = Table(
    "job",
    METADATA,
    Column("job_id", String(32), primary_key=True),
    Column("kind", String(16), nullable=False),  # run, export
    Column("name", String(255), nullable=False),
    Column("run_id", String(32), nullable=False),  # that it makes, or exports from
    Column("folder", Text, nullable=False),  # the run's, or that of the export
    Column("body", JSON, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("submitted_s", Float, nullable=False),
    Column("submitted_by", String(255), nullable=False),
    Column("token_id", String(16)),
    Column("idempotency_key", String(255)),
    Column("fingerprint", String(64), nullable=False),  # of what was submitted with that key
    Column("wanted", String(8), nullable=False),  # run, pause, cancel
    Column("state", String(16), nullable=False),  # queued, running, paused; finished, failed …
    Column("message", Text, nullable=False),
    Column("outcome", JSON),
    Column("holder", String(255), nullable=False),  # HOST:PID of its process
    Column("starts", Integer, nullable=False),
    Column("crashes", Integer, nullable=False),  # since it last got anywhere
    Column("evaluated", Integer, nullable=False),  # candidates when it last crashed
    Column("changed_s", Float, nullable=False),
    UniqueConstraint("idempotency_key", name="one_job_a_key"),
    Index("job_by_state", "state", "priority", "submitted_s"),
)

token = Table(
    "token",
    METADATA,
    Column("token_id", String(16), primary_key=True),
    Column("name", String(255), nullable=False),
    Column("role", String(16), nullable=False),  # viewer, operator, admin
    Column("secret_hash", String(64), nullable=False),
    Column("made_s", Float, nullable=False),
    Column("made_by", String(255), nullable=False),
    Column("expires_s", Float),
    Column("revoked_s", Float),
    Column("device_hours", Float),  # the quota; None: no limit
)

session = Table(
    "session",
    METADATA,
    Column("session_hash", String(64), primary_key=True),
    Column("token_id", String(16), nullable=False),
    Column("made_s", Float, nullable=False),
    Column("expires_s", Float, nullable=False),
    Column("ended_s", Float),
)

audit = Table(
    "audit",
    METADATA,
    Column("entry_id", Integer, primary_key=True, autoincrement=True),
    Column("at_s", Float, nullable=False),
    Column("who", String(255), nullable=False),
    Column("token_id", String(16)),
    Column("role", String(16), nullable=False),
    Column("address", String(64), nullable=False),
    Column("method", String(16), nullable=False),
    Column("path", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("status", Integer),  # None: in flight, or the service died in it
)

OF_SERVICE = (job, token, session, audit)
"""Tables whose rows belong to no run of the ledger, or to one that isn't there yet."""
