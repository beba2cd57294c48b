"""The demo account and the nine prompts that a fresh install begins with."""

import contextlib
from typing import TYPE_CHECKING

from api.connection import Connection
from api.prompts import store as prompt_store
from api.prompts.store import PromptText

if TYPE_CHECKING:
    from ledger.ledger import Ledger

DEMO_EMAIL = "demo@example.com"
DEMO_NAME = "演示用户"
DEMO_TOKENS = 100
ACTOR = "cli"

_MISSING = """
SELECT NOT EXISTS (SELECT FROM ledger_events WHERE account_id = %s AND version = 1)
    OR EXISTS (SELECT FROM unnest(%s::text[]) AS p (id)
               WHERE NOT EXISTS (SELECT FROM prompts WHERE prompts.id = p.id))"""


def _public(title: str, category: str, description: str, content: str) -> PromptText:
    return PromptText(
        title=title,
        category=category,
        description=description,
        content=content,
        members_only=False,
        token_cost=5,
    )


def _for_members(title: str, category: str, description: str, content: str) -> PromptText:
    return PromptText(
        title=title,
        category=category,
        description=description,
        content=content,
        members_only=True,
        token_cost=10,
    )


PROMPTS: dict[str, PromptText] = {
    "dreamy-forest": _public(
        "梦幻森林",
        "自然",
        "晨雾里的古老森林，光束穿过树冠，苔藓与萤火微微发亮。",
        "An ancient enchanted forest at dawn: towering moss-covered trees, soft volumetric light "
        "falling through mist, glowing mushrooms and drifting fireflies, a narrow path leading "
        "inwards. Painterly detail, gentle greens and gold, calm and wondrous, no text.",
    ),
    "future-city": _public(
        "未来城市",
        "城市",
        "玻璃高塔与空中花园之间，飞行器安静穿行的明日都市。",
        "A bright, optimistic city of the future: slender glass towers joined by sky bridges, "
        "hanging gardens, quiet flying vehicles, clean streets with people far below, late "
        "afternoon sun. Wide architectural view, crisp detail, realistic light, no text.",
    ),
    "quiet-beach": _public(
        "宁静海滩",
        "自然",
        "退潮后的细沙与浅水，天色柔和，只有海浪的声音。",
        "A quiet, empty beach at low tide: fine sand with ripples, shallow clear water mirroring "
        "pastel clouds, a few shells in the foreground, soft horizon. Natural photography, "
        "wide angle, gentle morning light, serene and uncluttered, no text.",
    ),
    "mountain-sunrise": _public(
        "山峰日出",
        "自然",
        "第一缕阳光点亮雪峰，云海在山谷中缓缓流动。",
        "Sunrise over a range of snow-capped peaks: the first light turns the summits pink and "
        "gold, a sea of clouds fills the valleys, dark pines on the nearest ridge. Landscape "
        "photography, great depth, crisp air, natural colours, no text.",
    ),
    "starry-night": _public(
        "星空夜景",
        "夜景",
        "银河横跨静湖上空，群山剪影倒映其中。",
        "A clear night sky with the Milky Way arching over a still mountain lake, stars reflected "
        "in the water, silhouettes of hills, one small lit tent on the shore. Long-exposure "
        "astrophotography, deep blues, fine stars, quiet and vast, no text.",
    ),
    "sakura-spring": _public(
        "樱花之春",
        "自然",
        "樱花盛开的河岸小径，花瓣随风飘落。",
        "A riverside path lined with cherry trees in full bloom, petals drifting on a light "
        "breeze and floating on the water, a small wooden bridge, warm spring afternoon. Delicate "
        "pinks and fresh greens, soft focus in the distance, no text.",
    ),
    "cyberpunk-street": _for_members(
        "赛博朋克街道",
        "城市",
        "雨夜霓虹倒映在湿润的路面，蒸汽从小吃摊升起。",
        "A narrow cyberpunk street on a rainy night: layered neon light in magenta and cyan, wet "
        "asphalt full of reflections, steam from a food stall, cables and balconies overhead, one "
        "figure with an umbrella. Cinematic, dense detail, abstract signs without readable text.",
    ),
    "magic-castle": _for_members(
        "魔法城堡",
        "奇幻",
        "悬浮于云端的城堡，尖塔间流淌着魔法微光。",
        "A magical castle on a floating rock above the clouds: slender spires, waterfalls that "
        "turn into mist, warm windows, threads of soft magical light between the towers, distant "
        "birds. Storybook fantasy painting, rich evening colours, majestic, no text.",
    ),
    "underwater-world": _for_members(
        "水下世界",
        "奇幻",
        "阳光照入的珊瑚海底，鱼群环绕着沉睡的遗迹。",
        "A sunlit underwater world: colourful coral gardens, shafts of light from the surface, a "
        "swirling school of silver fish, a sea turtle, ruins of an ancient temple overgrown with "
        "sea plants. Clear turquoise water, vivid yet natural, great depth, no text.",
    ),
}
"""By their ids, in the order in which they are shown."""


def is_seeded(connection: Connection, account_id: str) -> bool:
    """Whether nothing is missing."""
    row = connection.execute(_MISSING, (account_id, list(PROMPTS))).fetchone()
    return row == (False,)


def seed(connection: Connection, ledger: "Ledger", account_id: str) -> None:
    """Create what is missing; running it again changes nothing, whatever happened since.

    Raises the ledger's and the database's errors.
    """
    # Those who only ask whether there is anything to do need none of these.
    from api.accounts.store import CREATE_PROFILE  # noqa: PLC0415
    from ledger.commands import Beside, OpenAccount, Submission  # noqa: PLC0415
    from ledger.errors import AccountExistsError, BesideConflictError  # noqa: PLC0415

    command = OpenAccount(account_id=account_id, is_member=True, tokens=DEMO_TOKENS)
    profile = Beside(CREATE_PROFILE, (account_id, DEMO_EMAIL, DEMO_NAME))
    with contextlib.suppress(AccountExistsError, BesideConflictError):
        ledger.record(Submission(command=command, actor=ACTOR, beside=(profile,)))
    # Lists are newest first, so what is shown first is made last.
    for prompt_id, text in reversed(PROMPTS.items()):
        prompt_store.create(connection, prompt_id, text, ACTOR)
