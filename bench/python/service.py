"""Three calls of the control plane, as small as they can be, on FastAPI, SQLAlchemy and Postgres: list, get, provision.

For `cargo xtask bench control-plane`, which compares what they cost. It works on the same tables and leaves the same
entries in the audit log. It checks no token and believes the headers that say who is calling, it has no policy, and it is
safe from no crash: whatever it lacks makes it cheaper.
"""

import hashlib
import os
import uuid
from datetime import datetime, timedelta, timezone
from typing import Annotated, Any

import httpx
from fastapi import Depends, FastAPI, Header, HTTPException
from pydantic import BaseModel, ConfigDict
from sqlalchemy import ARRAY, BigInteger, Identity, Text, create_engine, func, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

ORGANIZATION = os.environ["GITHUB_ORG"]
engine = create_engine(os.environ["DATABASE_URL"], pool_size=20, max_overflow=20)
sessions = sessionmaker(engine)
github = httpx.Client(base_url=os.environ["GITHUB_API_URL"], headers={"Authorization": f"Bearer {os.environ['GITHUB_TOKEN']}"})
app = FastAPI()


class Base(DeclarativeBase):
    type_annotation_map = {list[str]: ARRAY(Text), dict[str, Any]: JSONB}


class Runner(Base):
    __tablename__ = "runners"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    target: Mapped[str]
    name: Mapped[str]
    owner_issuer: Mapped[str]
    owner_subject: Mapped[str]
    owner_name: Mapped[str]
    mode: Mapped[str]
    labels: Mapped[list[str]]
    runner_group_id: Mapped[int] = mapped_column(BigInteger)
    ephemeral: Mapped[bool]
    disable_update: Mapped[bool]
    state: Mapped[str]
    issuance: Mapped[str]
    secret_sha256: Mapped[str | None]
    secret_expires_at: Mapped[datetime | None]
    github_runner_id: Mapped[int | None] = mapped_column(BigInteger)
    requested_at: Mapped[datetime]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class Entry(Base):
    __tablename__ = "audit_log"
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    event: Mapped[str]
    outcome: Mapped[str]
    actor: Mapped[str]
    principal_issuer: Mapped[str]
    principal_subject: Mapped[str]
    runner_id: Mapped[uuid.UUID | None]
    runner_name: Mapped[str | None]
    details: Mapped[dict[str, Any]]


class Caller(BaseModel):
    issuer: str
    subject: str


class View(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    id: uuid.UUID
    name: str
    state: str
    labels: list[str]
    runner_group_id: int
    ephemeral: bool
    github_runner_id: int | None
    created_at: datetime
    updated_at: datetime


class Listing(BaseModel):
    runners: list[View]
    total: int


class Wish(BaseModel):
    runner_name: str
    labels: list[str] = ["self-hosted"]
    runner_group_id: int = 1


class Issued(BaseModel):
    runner_id: uuid.UUID
    runner_name: str
    github_runner_id: int
    encoded_jit_config: str


def caller(x_auth_issuer: Annotated[str, Header()], x_auth_subject: Annotated[str, Header()]) -> Caller:
    return Caller(issuer=x_auth_issuer, subject=x_auth_subject)


def session():
    with sessions() as current:
        yield current


Who = Annotated[Caller, Depends(caller)]
Database = Annotated[Session, Depends(session)]


def entry(who: Caller, event: str, runner: Runner | None = None, **details: Any) -> Entry:
    return Entry(
        event=event, outcome="success", actor="principal", principal_issuer=who.issuer, principal_subject=who.subject,
        runner_id=runner and runner.id, runner_name=runner and runner.name, details=details,
    )


def live(who: Caller):
    return (Runner.owner_issuer == who.issuer, Runner.owner_subject == who.subject, Runner.state != "deleted")


@app.get("/api/v1/runners")
def list_runners(who: Who, database: Database, limit: int = 50) -> Listing:
    runners = database.scalars(select(Runner).where(*live(who)).order_by(Runner.id.desc()).limit(limit)).all()
    total = database.scalar(select(func.count()).select_from(Runner).where(*live(who)))
    listing = Listing(runners=[View.model_validate(runner) for runner in runners], total=total)
    database.add(entry(who, "runner.listed", returned=len(runners), total=total))
    database.commit()
    return listing


@app.get("/api/v1/runners/{name}")
def get_runner(name: str, who: Who, database: Database) -> View:
    runner = database.scalar(select(Runner).where(*live(who), func.lower(Runner.name) == name.lower()))
    if runner is None:
        raise HTTPException(404, "there is no such runner")
    view = View.model_validate(runner)
    database.add(entry(who, "runner.read", runner))
    database.commit()
    return view


@app.post("/api/v1/runners/provision", status_code=201)
def provision(wish: Wish, who: Who, database: Database) -> Issued:
    now = datetime.now(timezone.utc)
    runner = Runner(
        id=uuid.uuid4(), target=f"org:{ORGANIZATION.lower()}", name=wish.runner_name, owner_issuer=who.issuer,
        owner_subject=who.subject, owner_name=who.subject, mode="jit", labels=wish.labels,
        runner_group_id=wish.runner_group_id, ephemeral=True, disable_update=False, state="pending",
        issuance="requested", requested_at=now, created_at=now, updated_at=now,
    )
    database.add_all([runner, entry(who, "provision.requested", runner)])
    database.commit()
    body = {"name": wish.runner_name, "runner_group_id": wish.runner_group_id, "labels": wish.labels}
    answer = github.post(f"/orgs/{ORGANIZATION}/actions/runners/generate-jitconfig", json=body)
    answer.raise_for_status()
    made = answer.json()
    config = made["encoded_jit_config"]
    runner.issuance, runner.github_runner_id = "issued", made["runner"]["id"]
    runner.secret_sha256 = hashlib.sha256(config.encode()).hexdigest()
    runner.secret_expires_at = runner.updated_at = datetime.now(timezone.utc) + timedelta(hours=1)
    issued = Issued(
        runner_id=runner.id, runner_name=runner.name, github_runner_id=runner.github_runner_id, encoded_jit_config=config
    )
    database.add(entry(who, "provision.issued", runner))
    database.commit()
    return issued
