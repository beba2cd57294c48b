"""Seals: what they prove, and each way in which they do not."""

import json
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import mintage
import plain_chain
from chained import connected, findings, grow, grow_blocks
from databases import Database, temporary_home
from ledger.chain.blocks import ChainEnd, catch_up, chain_end
from ledger.chain.errors import (
    ChainCutError,
    LogCutError,
    OtherLogError,
    RewrittenError,
    SealKeyError,
    SealMalformedError,
    SealSignatureError,
)
from ledger.chain.keys import make_key, public_pem, read_key, read_public_key
from ledger.chain.seal import Proof, Seal, check_seal, decode_seal, encode_seal, sign
from ledger_samples import FIRST
from plain_chain import tamper

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
FROZEN = (
    '{"mintage_seal":1,"log":"01930000-0000-7000-8000-000000000001","block":3,"position":9,'
    '"hash":"0000000000000000000000000000000000000000000000000000000000000000",'
    '"at":"2026-01-02T03:04:05.000678Z",'
    '"public_key":"03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8",'
    '"signature":"9258fec784639ea5d129227429696dfb4b22139b1ff8569307af4a0c9a675442'
    '51834e055533856f0d49cede7bf995c924c4096045ab49c11cb405aefb0e4c02"}'
)
HEAD = ChainEnd(
    log_id=FIRST,
    block=3,
    position=9,
    hash=bytes(32),
    head=9,
    waiting_seconds=None,
    moved_seconds_ago=1.0,
)
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(32))


@pytest.fixture
def document(database: Database) -> bytes:
    grow_blocks(database, blocks=2)
    grow(database, seed=5)
    with connected(database.url) as connection:
        at = catch_up(connection)
        assert (at.block, at.unchained) == (3, 0)
        return encode_seal(sign(at, KEY))


def prove(database: Database, document: bytes, key: Ed25519PrivateKey | None = KEY) -> Proof:
    with connected(database.url) as connection:
        return check_seal(connection, document, key.public_key() if key else None)


def changed(document: bytes, **fields: Any) -> bytes:
    return json.dumps(json.loads(document) | fields).encode()


def signed_anew(document: bytes, key: Ed25519PrivateKey, **fields: Any) -> bytes:
    """What a forger can make: every field theirs, the signature theirs."""
    seal = decode_seal(changed(document, **fields))
    forged = msgspec.structs.replace(
        HEAD,
        log_id=seal.log,
        block=seal.block,
        position=seal.position,
        hash=bytes.fromhex(seal.hash),
    )
    return encode_seal(sign(forged, key, at=seal.at))


def test_a_seal_is_proved_also_after_the_log_has_grown(database: Database, document: bytes) -> None:
    assert prove(database, document).authentic
    proof = prove(database, document, None)
    assert not proof.authentic
    assert proof.seal.public_key == KEY.public_key().public_bytes_raw().hex()
    grow_blocks(database, blocks=2)
    assert prove(database, document).seal == decode_seal(document)


def test_a_seal_of_an_empty_log_holds(database: Database) -> None:
    with connected(database.url) as connection:
        document = encode_seal(sign(catch_up(connection), KEY))
    assert prove(database, document).seal.position == 0
    grow_blocks(database, blocks=1)
    assert prove(database, document).seal.position == 0


def test_the_document_is_frozen() -> None:
    sealed = sign(HEAD, KEY, at=datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC))
    assert encode_seal(sealed).decode() == FROZEN


def test_a_rewritten_log_with_a_recomputed_chain_is_found_by_the_seal_only(
    database: Database, document: bytes
) -> None:
    url = database.superuser_url
    tamper(url, "UPDATE ledger_events SET settled = settled + 7 WHERE position = 5")
    assert prove(database, document).authentic  # the chain is as it was: its check tells
    assert [each.position for each in findings(database.url)] == [5]
    plain_chain.recompute(url)
    assert findings(database.url) == []
    with pytest.raises(RewrittenError) as raised:
        prove(database, document)
    assert raised.value.position == decode_seal(document).position


def test_a_chain_cut_off_is_told_from_a_log_cut_off(database: Database, document: bytes) -> None:
    url, position = database.superuser_url, decode_seal(document).position
    tamper(url, "DELETE FROM ledger_chain WHERE block > 1")
    with pytest.raises(ChainCutError) as cut:
        prove(database, document)
    assert cut.value.position == position
    assert f"ends at {cut.value.end}" in str(cut.value)
    tamper(url, "DELETE FROM ledger_events WHERE position > 10")
    with pytest.raises(LogCutError, match="the log ends at 10"):
        prove(database, document)


def test_a_chain_made_again_over_the_same_rows_still_fits(
    database: Database, document: bytes
) -> None:
    tamper(database.superuser_url, "DELETE FROM ledger_chain")
    with connected(database.url) as connection:
        assert catch_up(connection).block == 1
    proof = prove(database, document)
    assert (proof.authentic, proof.remade) == (True, True)


def test_a_seal_that_names_another_block_is_told(database: Database, document: bytes) -> None:
    assert not prove(database, document).remade
    for block in (0, 2, 4):
        assert prove(database, signed_anew(document, KEY, block=block)).remade


def test_a_chain_made_again_over_other_rows_does_not(database: Database, document: bytes) -> None:
    url = database.superuser_url
    tamper(url, "UPDATE ledger_events SET actor = 'x' WHERE position = 3")
    tamper(url, "DELETE FROM ledger_chain")
    with connected(database.url) as connection:
        catch_up(connection)
    assert findings(database.url) == []
    with pytest.raises(RewrittenError):
        prove(database, document)


def test_a_seal_of_another_log_is_told(database: Database, document: bytes) -> None:
    before = plain_chain.log_id(database.url)
    tamper(database.superuser_url, "UPDATE ledger_identity SET id = gen_random_uuid()")
    with pytest.raises(OtherLogError) as raised:
        prove(database, document)
    assert raised.value.sealed == before
    assert raised.value.found == plain_chain.log_id(database.url)


FIELDS = {
    "log": "01930000-0000-7000-8000-000000000001",
    "block": 99,
    "position": 1,
    "hash": "ab" * 32,
    "at": "2020-01-01T00:00:00Z",
    "signature": "00" * 64,
}


@pytest.mark.parametrize("field", FIELDS)
def test_a_changed_field_breaks_the_signature(
    database: Database, document: bytes, field: str
) -> None:
    for key in (KEY, None):
        with pytest.raises(SealSignatureError, match="signature does not fit"):
            prove(database, changed(document, **{field: FIELDS[field]}), key)


def test_another_key_is_another_sealer(database: Database, document: bytes) -> None:
    with pytest.raises(SealSignatureError, match="another key than the one given"):
        prove(database, document, OTHER)
    theirs = signed_anew(document, OTHER)
    assert not prove(database, theirs, None).authentic  # integrity is all that it shows
    with pytest.raises(SealSignatureError, match="another key than the one given"):
        prove(database, theirs, KEY)
    named = changed(theirs, public_key=KEY.public_key().public_bytes_raw().hex())
    with pytest.raises(SealSignatureError, match="signature does not fit"):
        prove(database, named, KEY)


def test_a_forged_head_is_none_of_the_log(database: Database, document: bytes) -> None:
    with pytest.raises(RewrittenError):
        prove(database, signed_anew(document, KEY, hash="ab" * 32))
    with pytest.raises(RewrittenError):
        prove(database, signed_anew(document, KEY, position=2))
    with pytest.raises(RewrittenError):
        prove(database, signed_anew(document, KEY, position=0))
    with pytest.raises(LogCutError):
        prove(database, signed_anew(document, KEY, position=2**63))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda _: b"", "empty"),
        (lambda _: b" \n", "empty"),
        (lambda seal: seal[:-1], "not a whole one"),
        (lambda seal: seal[: len(seal) // 2], "not a whole one"),
        (lambda _: b"\xff\xfe", "no JSON document"),
        (lambda _: b"mintage seal", "no JSON document"),
        (lambda _: b"[]", "none of ours"),
        (lambda _: b"{}", "none of ours: .*`log`"),
        (lambda seal: changed(seal, mintage_seal=2), "mintage_seal"),
        (lambda seal: changed(seal, more=1), "more"),
        (lambda seal: changed(seal, position=-1), r"\$\.position"),
        (lambda seal: changed(seal, position="1"), r"\$\.position"),
        (lambda seal: changed(seal, hash="AB" * 32), r"\$\.hash"),
        (lambda seal: changed(seal, hash="ab" * 31), r"\$\.hash"),
        (lambda seal: changed(seal, log="x"), r"\$\.log"),
        (lambda seal: changed(seal, at="yesterday"), r"\$\.at"),
        (lambda seal: changed(seal, at="2026-01-01T00:00:00"), r"\$\.at"),
        (lambda seal: changed(seal, signature=None), r"\$\.signature"),
        (lambda seal: seal * 20, "too long"),
        (lambda seal: seal + b"x", "no JSON document"),
    ],
)
def test_what_is_no_seal_is_told_apart(
    database: Database, document: bytes, damage: Any, message: str
) -> None:
    with pytest.raises(SealMalformedError, match=message):
        prove(database, damage(document))


def test_every_prefix_of_a_seal_is_refused(database: Database, document: bytes) -> None:
    for length in range(len(document)):
        with pytest.raises(SealMalformedError):
            decode_seal(document[:length])
    assert prove(database, document + b"\n").authentic


def test_a_key_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "seal.pem"
    key = make_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_key(path).private_bytes_raw() == key.private_bytes_raw()
    before = path.read_bytes()
    with pytest.raises(SealKeyError, match="never overwritten"):
        make_key(path)
    assert path.read_bytes() == before
    (tmp_path / "link.pem").symlink_to(tmp_path / "elsewhere.pem")
    with pytest.raises(SealKeyError):
        make_key(tmp_path / "link.pem")
    assert not (tmp_path / "elsewhere.pem").exists()
    with pytest.raises(SealKeyError, match="No such file"):
        make_key(tmp_path / "nowhere" / "seal.pem")


def test_other_files_are_no_keys(tmp_path: Path) -> None:
    private, public = tmp_path / "private.pem", tmp_path / "public.pem"
    key = make_key(private)
    public.write_text(public_pem(key))
    assert read_public_key(public).public_bytes_raw() == key.public_key().public_bytes_raw()
    with pytest.raises(SealKeyError, match="no private key"):
        read_key(public)
    with pytest.raises(SealKeyError, match="no public key"):
        read_public_key(private)
    with pytest.raises(SealKeyError, match="No such file"):
        read_key(tmp_path / "gone.pem")
    with pytest.raises(SealKeyError, match="Is a directory"):
        read_key(tmp_path)
    (tmp_path / "rubbish.pem").write_bytes(b"\0" * 100_000)
    for read in (read_key, read_public_key):
        with pytest.raises(SealKeyError):
            read(tmp_path / "rubbish.pem")
    other = generate_ec(SECP256R1())
    encoding, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    private.write_bytes(other.private_bytes(encoding, pkcs8, serialization.NoEncryption()))
    with pytest.raises(SealKeyError, match="not an Ed25519"):
        read_key(private)
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    public.write_bytes(other.public_key().public_bytes(encoding, spki))
    with pytest.raises(SealKeyError, match="not an Ed25519"):
        read_public_key(public)
    locked = serialization.BestAvailableEncryption(b"a password")
    private.write_bytes(key.private_bytes(encoding, pkcs8, locked))
    with pytest.raises(SealKeyError, match="password"):
        read_key(private)


def test_the_command_line_seals_the_whole_log(database: Database, tmp_path: Path) -> None:
    with temporary_home() as home:
        urls = {"DATABASE_URL": database.url}
        refused = mintage.run("audit", "seal", home=home, **urls)
        assert refused.returncode == 2
        assert "seal-key" in refused.stderr
        assert refused.stdout == ""

        path = tmp_path / "seal.pem"
        made = mintage.run("audit", "seal-key", str(path), home=home)
        assert made.returncode == 0
        (tmp_path / "public.pem").write_text(made.stdout)
        again = mintage.run("audit", "seal-key", str(path), home=home)
        assert again.returncode == 1
        assert "never overwritten" in again.stderr

        grow(database)
        done = mintage.run("audit", "seal", "--key", str(path), home=home, **urls)
        assert done.returncode == 0, done.stderr
        with connected(database.url) as connection:
            at = chain_end(connection)
            public_key = read_public_key(tmp_path / "public.pem")
            proof = check_seal(connection, done.stdout.encode(), public_key)
        assert (at.unchained, proof.seal.position, proof.authentic) == (0, at.head, True)
        assert f"position {at.head}" in done.stderr

        named = {"MINTAGE_SEAL_KEY_FILE": str(path)}
        document = mintage.run_json("audit", "seal", home=home, **urls, **named)
        assert msgspec.convert(document, Seal).hash == at.hash.hex()

        gone = mintage.run("audit", "seal", "--key", str(tmp_path / "x"), home=home, **urls)
        assert gone.returncode == 1
        assert "No such file" in gone.stderr

        tamper(database.superuser_url, "DELETE FROM ledger_chain")
        tamper(database.superuser_url, "DELETE FROM ledger_events WHERE position = 2")
        broken = mintage.run("audit", "seal", home=home, **urls, **named)
        assert broken.returncode == 1
        assert "position 2 is gone" in broken.stderr
        assert broken.stdout == ""


def test_a_demo_makes_itself_a_key() -> None:
    with temporary_home() as home:
        assert mintage.run("migrate", home=home).returncode == 0
        first = mintage.run("audit", "seal", home=home)
        assert first.returncode == 0, first.stderr
        key = home / "seal-key.pem"
        assert str(key) in first.stderr
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        second = mintage.run("audit", "seal", home=home)
        keys = {json.loads(done.stdout)["public_key"] for done in (first, second)}
        assert keys == {read_key(key).public_key().public_bytes_raw().hex()}
