"""The words that fill the slots of `templates`: long lists, so that an adapter learns to copy, not to recite.

A slot's key is its name in a template without trailing digits: `{person2}` draws from `person`.
Written by hand for this file; numbers, names of people, places and packages are put together at random.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random

_VOWELS = "aeiou"


class Word(str):
    """A slot's value that knows a few inflections, for use inside format strings: `{verb.ing}`."""

    __slots__ = ()

    @property
    def cap(self) -> Word:
        """With a capital first letter."""
        return Word(self[:1].upper() + self[1:])

    @property
    def s(self) -> Word:
        """A verb's third person; only the first word is inflected."""
        head, space, rest = self.partition(" ")
        if head.endswith(("s", "sh", "ch", "x", "z")):
            head += "es"
        elif head.endswith("y") and head[-2] not in _VOWELS:
            head = head[:-1] + "ies"
        else:
            head += "s"
        return Word(head + space + rest)

    @property
    def ing(self) -> Word:
        """A verb's gerund; the lists hold no verb whose last consonant doubles unless in `_DOUBLED`."""
        head, space, rest = self.partition(" ")
        if head in _DOUBLED:
            head += head[-1]
        elif head.endswith("e") and not head.endswith("ee"):
            head = head[:-1]
        return Word(head + "ing" + space + rest)

    @property
    def a(self) -> Word:
        """With its indefinite article."""
        return Word(("an " if self[:1].lower() in _VOWELS else "a ") + self)


_DOUBLED = frozenset(
    {"format", "map", "plan", "plot", "run", "scan", "split", "trim", "wrap", "log", "strip"}
)


def _lines(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.replace("\n", "|").split("|") if word.strip())


WORDS: Mapping[str, tuple[str, ...]] = {
    "verb": _lines("""
        parse|validate|render|compress|encrypt|schedule|monitor|index|convert|download|upload|cache|inspect
        compare|merge|split|sort|filter|search|visualize|plot|simulate|train|serialize|generate|format|lint
        test|package|deploy|trace|profile|benchmark|query|stream|record|replay|transform|annotate|cluster
        classify|translate|clean|rename|archive|synchronize|verify|sign|scan|map|wrap|build|edit|analyze
        collect|export|import|load|read|write|manage|track|describe|measure|store|publish|route|mock|log
    """),
    "thing": _lines("""
        log files|JSON documents|configuration files|time series|satellite images|audio clips|source code
        SQL queries|HTTP requests|type annotations|unit tests|Python objects|binary files|spreadsheets
        PDF reports|email messages|calendar events|web pages|regular expressions|command line arguments
        environment variables|message queues|background jobs|database schemas|neural networks|sparse matrices
        graph data|medical records|sensor readings|weather forecasts|stock prices|text corpora|video streams
        API tokens|user accounts|access rights|container images|network packets|DNS records|git repositories
        build artifacts|dependency trees|software licences|CSV tables|XML feeds|Markdown pages|YAML manifests
        geographic coordinates|3D meshes|protein sequences|chemical structures|telescope data
        bank transactions
        invoices|shopping carts|chat messages|speech recordings|language models|word embeddings|decision trees
        Bayesian models|random numbers|calendar dates|currency amounts|phone numbers|postal addresses
        unicode strings|color palettes|vector graphics|bitmap fonts|terminal output|progress bars|stack traces
        memory dumps|CPU counters|disk images|file systems|cloud buckets|virtual machines|serial ports
        robot arms|game levels|chess positions|music scores|MIDI events|recipe collections|survey answers
        metrics|web sockets|async tasks|thread pools|data classes|date strings|tensor shapes|model weights
    """),
    "kind": _lines("""
        library|package|framework|toolkit|module|command line tool|plugin|client|wrapper|parser|server|daemon
        extension|compiler|engine|utility|linter|formatter|debugger|profiler|scheduler|test runner
        web framework
        template engine|Python package|Python library|static analyzer|code generator
        database driver|middleware
        collection of functions|set of tools|reference implementation|drop-in replacement|backport
    """),
    "adj": _lines("""
        small|fast|lightweight|pure Python|modern|simple|flexible|minimal|powerful|robust|typed|portable
        extensible|thread-safe|asynchronous|high-level|low-level|cross-platform|tiny|friendly|experimental
        well-tested|fully typed|dependency-free|production-ready|open source|zero-configuration|declarative
    """),
    "context": _lines("""
        on small machines|without a database|in a few lines of code|from the command line|in the browser
        for data scientists|with type hints|over slow networks|in parallel|at scale|on Windows and Linux
        without extra dependencies|in real time|for web applications|inside containers
        in continuous integration
        for scientific work|on embedded devices|with very little memory|across many threads|in the cloud
        for teachers and students|with a plain text syntax|behind a proxy|in memory|using async functions
        for large projects|in notebooks|on a schedule|with full Unicode support|before they reach production
        for machine learning|from Python scripts|as plain text|with reproducible results|in a sandbox
    """),
    "feature": _lines("""
        automatic retries|connection pooling|colored output|lazy loading|incremental updates
        plain text reports
        type checking|hot reloading|shell completion|a plugin system|custom validators|streaming responses
        transparent compression|batch processing|structured logging|a REST interface|dark mode|undo and redo
        error recovery|schema migrations|time zones|rate limiting|single sign-on|nested templates
        unit conversion
        fuzzy matching|parallel execution|checkpointing|zero-copy reads|memory mapping|GPU acceleration
        incremental parsing|source maps|dependency injection|event hooks|dry runs|offline use|signal handling
        context managers|async iterators|weak references|pickle support|NumPy arrays|pandas data frames
        Unix pipes|TLS certificates|OAuth logins|proxy servers|IPv6 addresses|large files|symbolic links
        file locking|atomic writes|snapshot testing|code coverage|property-based tests|tab completion
    """),
    "language": _lines("Rust|C|Go|Java|TypeScript|Ruby|Haskell|Julia|Fortran|Lua|Cython|C++|Perl|Kotlin"),
    "license": _lines(
        "MIT license|BSD license|Apache license|Mozilla Public License|GNU General Public License"
        "|ISC license|zlib license|PSF license|public domain"
    ),
    "os": _lines("Linux|Windows|macOS|FreeBSD|Android|all major platforms|Linux and macOS"),
    "animal": _lines("""
        seal|otter|beaver|wolf|heron|salmon|hedgehog|bat|eagle|lynx|turtle|bison|crane|owl|fox|badger|dolphin
        stork|swan|toad|eel|moose|ibex|pelican|kingfisher|bumblebee|dragonfly|sturgeon|vole|puffin|sparrow
    """),
    "crop": _lines("""
        wheat|barley|rye|apples|plums|grapes|olives|potatoes|onions|lentils|rice|maize|hops|cherries|walnuts
        pumpkins|tea|coffee|saffron|sunflowers|oats|beans|tomatoes|figs|almonds|pears
    """),
    "dish": _lines("""
        lentil soup|rye bread|apple cake|fish stew|goat cheese|plum jam|potato dumplings
        rice pudding|onion tart
        mushroom pie|honey biscuits|bean salad|smoked trout|pumpkin curry|barley porridge|walnut bread
    """),
    "sport": _lines("""
        rowing|handball|cycling|chess|fencing|volleyball|judo|sailing|archery|ski jumping|water polo|curling
        badminton|table tennis|orienteering|climbing|hockey|basketball|long-distance running|swimming
    """),
    "instrument": _lines("""
        violin|cello|organ|accordion|harp|trumpet|flute|piano|drum|guitar|bassoon|clarinet|lute|horn|zither
    """),
    "building": _lines("""
        library|town hall|railway station|lighthouse|water mill|swimming pool|theatre|school|hospital|bridge
        museum|cinema|harbour|observatory|brewery|fire station|market hall|post office|chapel|power station
        sports hall|tunnel|ferry terminal|bus depot|greenhouse|castle|city archive|youth hostel
    """),
    "material": _lines("""
        glass|copper|timber|wool|steel|clay|concrete|paper|linen|lithium|cork|cement|bamboo
        graphite|silk|slate
        aluminium|rubber|leather|hemp
    """),
    "science": _lines("""
        marine biology|soil chemistry|particle physics|linguistics|archaeology|plant genetics|seismology
        neuroscience|astronomy|climate science|computer science|oceanography|statistics|robotics|immunology
        economic history|materials science|psychology|geology|public health
    """),
    "finding": _lines("""
        trees warn each other of drought|bees prefer blue flowers|old maps overstate the coast
        sleep improves recall
        noise slows the growth of fish|music lowers the heart rate|salt speeds up rust|shade doubles the yield
        crows remember faces|cold water hardens the shells|short breaks raise output|dust cools the glacier
        sand filters remove most plastic|night light confuses moths|children learn faster in pairs
        spiders rebuild webs by feel|warm rivers hold fewer insects|rotating crops keeps the soil healthy
        tidal currents shape the reef|bilingual readers switch in their sleep
    """),
    "disease": _lines("""
        measles|bird flu|malaria|asthma|wheat rust|ash dieback|dengue fever|influenza|bark beetle|tuberculosis
        potato blight|diabetes|hay fever|chestnut canker
    """),
    "vehicle": _lines("""
        electric bus|night train|cargo bike|ferry|tram|cable car|solar boat|school bus|fire engine|snow plough
        mobile library|rescue helicopter|steam engine|hydrogen truck|street sweeper
    """),
    "weather": _lines("""
        a heat wave|heavy rain|a snow storm|thick fog|a hail storm|strong winds|a long drought|black ice
        a spring flood|a thunderstorm|freezing rain|a dust storm
    """),
    "artwork": _lines("""
        bronze statue|oil painting|Roman mosaic|silver coin|wooden mask|stained glass window|illuminated book
        stone axe|clay tablet|bronze bell|medieval map|silk tapestry|gold ring|marble bust|ship model
    """),
    "service": _lines("""
        parking|waste collection|child care|public transport|drinking water|street lighting|home insurance
        mobile internet|library cards|swimming lessons|electricity|heating|broadband|postal delivery
    """),
    "crime": _lines("theft|forgery|fraud|smuggling|arson|vandalism|tax evasion|burglary|poaching|bribery"),
    "month": _lines("January|February|March|April|May|June|July|August|September|October|November|December"),
    "season": _lines("spring|summer|autumn|winter"),
    "day": _lines("Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday"),
    "role": _lines("""
        mayor|head teacher|project leader|spokesperson|director|engineer|biologist|architect|chairman|curator
        coach|farmer|doctor|historian|minister|conductor|judge|captain|researcher|forester
    """),
    "right": _lines("""
        use|copy|modify|publish|distribute|sell copies of|share|study|translate|display|archive|sublicense
    """),
    "legal": _lines("""
        the software|the documentation|the work|the data set|the source code|the fonts|the images|the service
        the sample code|the translation|the course material|the recordings
    """),
}

_FIRST = _lines("""
    Lars|Mina|Ada|Jonas|Priya|Tomas|Elena|Kofi|Yuki|Marta|Omar|Greta|Ivan|Leila|Hugo|Noor|Petra|Samuel|Ines
    Bruno|Wanda|Diego|Astrid|Chen|Fatima|Georg|Helen|Igor|Joana|Karl|Lucia|Milan|Nadia|Oskar|Paula|Rafael
    Sofia|Tariq|Ursula|Viktor
""")
_LAST = _lines("""
    Berg|Okafor|Novak|Silva|Tanaka|Moreau|Lindqvist|Rossi|Haddad|Kowalski|Petrov|Nguyen|Schmidt|Araujo|Keller
    Byrne|Costa|Dimitrov|Eriksen|Fischer|Garcia|Horvat|Ibrahim|Jansen|Kaya|Larsen|Mensah|Nilsen|Ortega|Popov
    Quist|Reyes|Sato|Turner|Ueda|Vogel|Weber|Young|Zeller|Marsh
""")
_PLACE_HEADS = _lines("""
    Bran|Kel|Mor|Tor|Vel|Dun|Sal|Har|Lin|Wes|Ost|Gra|Fen|Rav|Cor|Al|Ner|Pel|Stan|Bel|Ashen|Rock|Silver|Green
""")
_PLACE_TAILS = _lines("""
    ford|dal|burg|mouth|field|hall|wick|stad|bridge|haven|ton|berg|more|ley|brook|vale|port|minster|by|gate
""")
_PLACE_KINDS = _lines("valley|hills|district|county|island|coast|river|forest|bay|lake|plain|marshes")
_ORG_TAILS = _lines("""
    University|Institute|Trust|Council|Society|Foundation|Bank|Museum|Railways|Energy|Foods|Observatory|Hospital
    Software|Motors|Airlines|Publishing|Housing Association|Research Centre|Labs
""")
_SYLLABLES = _lines("""
    ba|do|ki|lo|me|na|po|qu|ri|sta|tor|ul|vex|wi|xy|zen|flu|gra|hel|jin|kra|lum|mor|nex|or|pra|syn|tri|ven|yar
    async|data|py|web|doc|task|log|net|text|grid|form|type|time|plan|code|path|file|test
""")
_NAME_TAILS = _lines("lib|kit|py|db|er|io|ly|box|flow|core|tools|hub|parse|cast|wire|form|ize|ware|ette")


def _person(rng: Random) -> str:
    return f"{rng.choice(_FIRST)} {rng.choice(_LAST)}"


def _place_name(rng: Random) -> str:
    return rng.choice(_PLACE_HEADS) + rng.choice(_PLACE_TAILS)


def _region(rng: Random) -> str:
    return f"the {_place_name(rng)} {rng.choice(_PLACE_KINDS)}"


def _organisation(rng: Random) -> str:
    return f"{_place_name(rng)} {rng.choice(_ORG_TAILS)}"


def _package(rng: Random) -> str:
    stem = "".join(rng.sample(_SYLLABLES, 2)) + rng.choice(("", "", rng.choice(_NAME_TAILS)))
    forms: tuple[str, ...] = (
        stem,
        stem,
        stem.capitalize(),
        stem.capitalize(),
        stem.upper()[:5],
        f"{stem}-{rng.choice(_NAME_TAILS)}",
        f"py{stem}",
        f"{stem.capitalize()}{rng.choice(_NAME_TAILS).upper()}",
        f"{stem}_{rng.choice(_SYLLABLES)}",
    )
    return rng.choice(forms)


def _number(rng: Random) -> str:
    size = rng.choice((20, 100, 1_000, 50_000))
    return f"{rng.randrange(2, size):,}"


def _money(rng: Random) -> str:
    amount = rng.choice((f"{rng.randrange(2, 90)} million", f"{rng.randrange(2, 900)},000"))
    return f"{amount} {rng.choice(('euros', 'dollars', 'pounds', 'crowns'))}"


def _version(rng: Random) -> str:
    return f"{rng.randrange(0, 9)}.{rng.randrange(0, 30)}"


MAKERS: Mapping[str, Callable[[Random], str]] = {
    "person": _person,
    "place": _place_name,
    "region": _region,
    "org": _organisation,
    "pkg": _package,
    "number": _number,
    "money": _money,
    "version": _version,
    "pyversion": lambda rng: f"3.{rng.randrange(7, 15)}",
    "percent": lambda rng: f"{rng.randrange(3, 95)} percent",
    "year": lambda rng: str(rng.randrange(1850, 2031)),
    "count": lambda rng: str(rng.randrange(2, 40)),
}


def draw(slot: str, rng: Random) -> Word:
    """Draw a value for a slot. Raises `KeyError` for a slot with no vocabulary."""
    key = slot.rstrip("0123456789")
    if key in MAKERS:
        return Word(MAKERS[key](rng))
    return Word(rng.choice(WORDS[key]))
