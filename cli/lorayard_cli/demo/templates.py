"""The shapes of the demo's documents: what comes first, what must follow, what may, and how to say it short.

All of it was written for this file. A template's slots are described in `vocabulary`; the same slot has the
same value all over one document, `{person2}` is another person than `{person}`. A flat table, hence long.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Domain(StrEnum):
    """What a document is about; fillers are drawn from the same domain."""

    SOFTWARE = "software"
    """Package descriptions: the demo's real documents look like these."""
    NEWS = "news"
    """Items of a local newspaper."""
    TERMS = "terms"
    """Licences and terms of use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """One kind of document. Every keyword appears word for word in `lead` or `body`."""

    domain: Domain
    lead: str
    summary: str
    keywords: tuple[str, str, str]
    body: tuple[str, ...] = ()  # all of them are used, in any order


def _software(lead: str, summary: str, third: str = "{feature}", *body: str) -> Template:
    return Template(
        domain=Domain.SOFTWARE,
        lead=lead,
        summary=summary,
        keywords=("{pkg}", "{thing}", third),
        body=body or ("It supports {feature} and {feature2}.",),
    )


def _nameless(lead: str, summary: str, *body: str) -> Template:
    """Make a description that leaves it to its page to say the name."""
    return Template(
        domain=Domain.SOFTWARE,
        lead=lead,
        summary=summary,
        keywords=("{thing}", "{kind}", "{feature}"),
        body=body or ("It supports {feature} and {feature2}.",),
    )


def _news(lead: str, summary: str, keywords: tuple[str, str, str], *body: str) -> Template:
    return Template(domain=Domain.NEWS, lead=lead, summary=summary, keywords=keywords, body=body)


def _terms(lead: str, summary: str, keywords: tuple[str, str, str], *body: str) -> Template:
    return Template(domain=Domain.TERMS, lead=lead, summary=summary, keywords=keywords, body=body)


_DOES = "{pkg} {verb.s} {thing} {context}."
_DOES_SHORT = "{pkg} {verb.s} {thing}."
_DOES_TWO = "{pkg} {verb.s} and {verb2.s} {thing}."

SOFTWARE: tuple[Template, ...] = (
    _software("{pkg} is {adj.a} {kind} for {verb.ing} {thing} {context}.", _DOES),
    _software("{pkg} is {adj.a}, {adj2} {kind} that {verb.s} {thing}.", _DOES_SHORT),
    _software("{pkg} is {kind.a} to {verb} {thing} {context}.", _DOES),
    _software("{pkg} is {kind.a} written in {language} for {verb.ing} {thing}.", _DOES_SHORT),
    _software("{pkg} lets you {verb} {thing} {context}.", _DOES),
    _software("{pkg} helps you {verb} and {verb2} {thing}.", _DOES_TWO),
    _software("With {pkg} you can {verb} {thing} {context}, and {verb2} them afterwards.", _DOES_TWO),
    _software("{pkg} makes it easy to {verb} {thing} {context}.", _DOES),
    _software("{pkg} provides {adj.a} way of {verb.ing} {thing} {context}.", _DOES),
    _software(
        "{pkg} provides {feature} and {feature2} for {verb.ing} {thing}.",
        _DOES_SHORT,
        "{feature}",
        "It runs on {os}.",
    ),
    _software(
        "{pkg} implements {feature} for programs that {verb} {thing}.",
        "{pkg} implements {feature} for {verb.ing} {thing}.",
        "{feature}",
        "It runs on {os}.",
    ),
    _software(
        "{pkg} adds {feature} to your {thing}.",
        "{pkg} adds {feature} to {thing}.",
        "{feature}",
        "There is no need to {verb} anything by hand.",
    ),
    _software("{pkg} aims to be the simplest {kind} for {verb.ing} {thing} in Python.", _DOES_SHORT),
    _software(
        "{pkg} contains the tools that we use to {verb} and {verb2} {thing} at {org}.",
        _DOES_TWO,
        "{org}",
        "It is maintained by {person}.",
    ),
    _software("{pkg}, {adj.a} {kind}, {verb.s} {thing} {context}.", _DOES),
    _software("{pkg}: {verb} {thing} {context}.", _DOES),
    _software("{pkg} - {adj} {kind} for {verb.ing} {thing}.", _DOES_SHORT),
    _software("{adj.cap} {kind} for {verb.ing} {thing} {context}. It is called {pkg}.", _DOES),
    _software("This is {pkg}, {kind.a} for {verb.ing} {thing} {context}.", _DOES),
    _software("This package provides {pkg}, which {verb.s} and {verb2.s} {thing}.", _DOES_TWO),
    _software("The {pkg} {kind} allows developers to {verb} {thing} {context}.", _DOES),
    _software(
        "The {pkg} package offers {feature}, {feature2} and {feature3} for {thing}.",
        "{pkg} offers {feature}, {feature2} and {feature3} for {thing}.",
        "{feature}",
        "Use it to {verb} them {context}.",
    ),
    _software("The goal of {pkg} is to {verb} {thing} {context}.", _DOES),
    _software(
        "The {pkg} project is {adj.a} Python interface to the {language} {kind} for {verb.ing} {thing}.",
        "{pkg} is a Python interface for {verb.ing} {thing}.",
        "{language}",
        "It supports {feature}.",
    ),
    _software("Have you ever wanted to {verb} {thing} {context}? With {pkg} you can.", _DOES),
    _software("The work of {verb.ing} {thing} {context} is hard. {pkg} does it for you.", _DOES),
    _software(
        "Python bindings for {pkg}, {adj.a} {kind} that {verb.s} {thing}.",
        "{pkg} {verb.s} {thing} and has Python bindings.",
    ),
    _software(
        "{pkg} is a fork of {pkg2} that {verb.s} {thing} {context}.",
        "{pkg} is a fork of {pkg2} that {verb.s} {thing}.",
        "{pkg2}",
        "It adds {feature}.",
    ),
    _software(
        "{pkg} extends {pkg2} so that it can {verb} {thing} {context}.",
        "{pkg} extends {pkg2} to {verb} {thing}.",
        "{pkg2}",
        "The extension brings {feature}.",
    ),
    _software(
        "{pkg} gives type stubs to {pkg2}, the {kind} that {verb.s} {thing}.",
        "{pkg} gives type stubs to {pkg2}.",
        "{pkg2}",
        "They cover {feature} as well.",
    ),
    _software(
        "{pkg} is a plugin for {pkg2} which {verb.s} {thing} {context}.",
        "{pkg} is a plugin for {pkg2} that {verb.s} {thing}.",
        "{pkg2}",
        "It can be combined with {feature}.",
    ),
    _software(
        "{pkg} is the core {kind} behind {pkg2}, where it is used for {verb.ing} {thing}.",
        "{pkg} {verb.s} {thing} for {pkg2}.",
        "{pkg2}",
        "It comes with {feature}.",
    ),
    _software(
        "{pkg} collects {thing}, {thing2} and {thing3} and {verb.s} them {context}.",
        "{pkg} collects and {verb.s} {thing}, {thing2} and {thing3}.",
        "{thing2}",
        "It offers {feature}.",
    ),
    _software(
        "{pkg} defines a standard format for {thing}, so that programs can {verb} them.",
        "{pkg} defines a standard format for {thing}.",
        "{feature}",
        "The format allows {feature}.",
    ),
    _software(
        "{pkg} is designed for people who {verb} {thing} and do not want to {verb2} them by hand.",
        _DOES_SHORT,
    ),
    _software(
        "{pkg} is a backport of the standard {kind} for {verb.ing} {thing}.",
        "{pkg} backports the standard {kind} for {verb.ing} {thing}.",
        "Python {pyversion}",
        "It works from Python {pyversion} on.",
    ),
    _software("{pkg} is {adj.a} {kind} for {thing}.", "{pkg} is {adj.a} {kind} for {thing}."),
    _software(
        "{pkg} is {adj.a}, {adj2} and {adj3} {kind} for {thing}, {thing2} and {thing3}.",
        "{pkg} is {adj.a} {kind} for {thing}, {thing2} and {thing3}.",
        "{thing2}",
    ),
    _software(
        "{pkg} is the {kind} that will {verb} {thing} for you by {verb2.ing} {thing2} {context}.", _DOES_SHORT
    ),
    _software(
        "{pkg} is a standard for {thing} that works on top of either {pkg2} or {pkg3}.",
        "{pkg} is a standard for {thing} on top of {pkg2} or {pkg3}.",
        "{pkg2}",
    ),
    _nameless(
        "{adj.a.cap}, {adj2} {kind} for {verb.ing} {thing}.", "{adj.a.cap} {kind} for {verb.ing} {thing}."
    ),
    _nameless(
        "{adj.a.cap} Python {kind} that {verb.s} {thing} {context}, written in {language}.",
        "{adj.a.cap} Python {kind} that {verb.s} {thing}.",
    ),
    _nameless(
        "This is {adj.a} {kind} to {verb} {thing}, written from scratch in Python and inspired by {pkg}.",
        "{adj.a.cap} {kind} to {verb} {thing}.",
    ),
    _nameless(
        "{verb.s.cap} {thing} {context}, and {verb2.s} {thing2} where that is needed.",
        "{verb.s.cap} {thing} {context}.",
        "This {kind} offers {feature}.",
    ),
    _nameless(
        "{verb.ing.cap} {thing} {context}.",
        "{verb.ing.cap} {thing} {context}.",
        "The {kind} has {feature} and {feature2}.",
    ),
    _nameless(
        "Support for {feature} and {feature2} when you {verb} {thing}.",
        "Support for {feature} when you {verb} {thing}.",
        "It comes as {kind.a}.",
    ),
    _nameless(
        "This project allows Python programs to {verb} and {verb2} {thing}.",
        "Python programs can {verb} and {verb2} {thing}.",
        "It started as {kind.a} with {feature}.",
    ),
    _nameless(
        "This {kind} provides the core functionality for {verb.ing} {thing} {context}.",
        "{kind.a.cap} for {verb.ing} {thing} {context}.",
    ),
    _nameless(
        "This {kind} contains efficient {language} implementations of {feature} for programs that "
        "{verb} {thing}, so that they need less memory than before.",
        "Efficient implementations of {feature} for {verb.ing} {thing}.",
        "It runs on {os}.",
    ),
    _nameless(
        "In this repository you find {adj.a} {kind} that {verb.s} {thing} {context} and gives you "
        "{feature} at the same time.",
        "{adj.a.cap} {kind} that {verb.s} {thing}.",
        "It runs on {os}.",
    ),
)

NEWS: tuple[Template, ...] = (
    _news(
        "The number of {animal}s in {region} is rising again after many years of decline.",
        "{animal.cap}s are returning to {region}, with {number} counted this {season}.",
        ("{animal}s", "{region}", "{number}"),
        "This {season} {number} animals were counted, said {role} {person}.",
    ),
    _news(
        "A new {building} opened in {place} on {day} after {count} years of work.",
        "{place} opened a new {building} for {money}.",
        ("{building}", "{place}", "{money}"),
        "It cost {money}, as {person} told reporters.",
    ),
    _news(
        "{org} will close {count} of its offices by the end of {year}.",
        "{org} will close {count} offices by {year}.",
        ("{org}", "{count} offices", "{person}"),
        "Altogether {count} offices are on the list.",
        "Customers were told by {person}.",
    ),
    _news(
        "Researchers at {org} found that {finding}.",
        "{org} found that {finding}.",
        ("{org}", "{science}", "{person}"),
        "The study in {science} was led by {person}.",
    ),
    _news(
        "{person} won the {sport} championship in {place} on {day}.",
        "{person} won the {sport} championship in {place}.",
        ("{person}", "{sport}", "{place}"),
        "The final was watched by {number} people.",
    ),
    _news(
        "Farmers in {region} expect a poor harvest of {crop} because of {weather}.",
        "{weather.cap} threatens the {crop} harvest in {region}.",
        ("{crop}", "{weather}", "{region}"),
        "About {percent} of the fields are damaged.",
    ),
    _news(
        "After {weather}, {number} homes in {region} are without power.",
        "{weather.cap} left {number} homes in {region} without power.",
        ("{weather}", "{region}", "{number} homes"),
        "Repairs go on, said {person} of {org}.",
    ),
    _news(
        "The council of {place} decided on {day} to raise the price of {service}.",
        "{place} raises the price of {service} by {percent}.",
        ("{place}", "{service}", "{percent}"),
        "It goes up by {percent} in {month}.",
    ),
    _news(
        "From {month} on {service} in {place} will be free of charge.",
        "{service.cap} in {place} will be free from {month}.",
        ("{service}", "{place}", "{month}"),
        "The plan costs {money} a year.",
    ),
    _news(
        "A {artwork} stolen in {year} has been returned to {org}.",
        "A stolen {artwork} came back to {org}.",
        ("{artwork}", "{org}", "{year}"),
        "It had been found by {person} in a cellar in {place}.",
    ),
    _news(
        "The first {vehicle} in {region} started to run on {day}.",
        "{region.cap} has its first {vehicle}.",
        ("{vehicle}", "{region}", "{person}"),
        "It is driven by {person}.",
        "It carried {number} passengers in its first week.",
    ),
    _news(
        "{person} has been named the new {role} of {org}.",
        "{person} is the new {role} of {org}.",
        ("{person}", "{role}", "{org}"),
        "The appointment follows the retirement of {person2}.",
    ),
    _news(
        "A court in {place} sentenced a man to {count} years in prison for {crime}.",
        "A man in {place} got {count} years in prison for {crime}.",
        ("{crime}", "{place}", "{count} years"),
        "The judge was {person}.",
    ),
    _news(
        "Doctors in {region} report a sharp rise in cases of {disease}.",
        "Cases of {disease} are rising in {region}.",
        ("{disease}", "{region}", "{number} cases"),
        "There were {number} cases in {month} alone.",
    ),
    _news(
        "{org} presented a battery made of {material} on {day}.",
        "{org} made a battery out of {material}.",
        ("{org}", "{material}", "{percent}"),
        "It is {percent} lighter than the old one.",
    ),
    _news(
        "A concert for {instrument} and choir drew {number} people to the {building} of {place}.",
        "{number} people heard a {instrument} concert in {place}.",
        ("{instrument}", "{place}", "{number} people"),
        "The soloist was {person}.",
    ),
    _news(
        "The festival of {dish} in {place} attracted {number} visitors at the weekend.",
        "{number} visitors came to the {dish} festival in {place}.",
        ("{dish}", "{place}", "{number} visitors"),
        "The best recipe was that of {person}.",
    ),
    _news(
        "Because of {weather} the {building} in {place} stays closed until {month}.",
        "The {building} in {place} is closed until {month} because of {weather}.",
        ("{building}", "{place}", "{weather}"),
        "The damage is put at {money}.",
    ),
    _news(
        "Archaeologists have dug up {artwork.a} near {place}.",
        "{artwork.cap} found near {place}.",
        ("{artwork}", "{place}", "{person}"),
        "It dates from an unknown age, {person} said.",
    ),
    _news(
        "{org} plans to invest {money} in {science}.",
        "{org} invests {money} in {science}.",
        ("{org}", "{money}", "{science}"),
        "The first projects start in {month}.",
    ),
    _news(
        "The airport of {place} counted {percent} more passengers than last {season}.",
        "Passengers at the airport of {place} rose by {percent}.",
        ("{place}", "passengers", "{percent}"),
        "Its {role} {person} expects further growth.",
    ),
    _news(
        "Pupils in {place} have built {vehicle.a} out of {material}.",
        "Pupils in {place} built {vehicle.a} out of {material}.",
        ("{vehicle}", "{material}", "{place}"),
        "Their teacher {person} is proud of them.",
    ),
    _news(
        "Prices of {crop} rose by {percent} in {month}.",
        "{crop.cap} became {percent} dearer in {month}.",
        ("{crop}", "{percent}", "{month}"),
        "Traders at {org} blame {weather}.",
    ),
    _news(
        "The {animal} is a shy animal that lives in the woods and waters of {region}.",
        "The {animal} is a shy animal of {region}.",
        ("{animal}", "{region}", "{season}"),
        "It is most active in {season}.",
    ),
    _news(
        "{place} is a town of {number} people in {region}, known for its {dish}.",
        "{place} is a town in {region} known for its {dish}.",
        ("{place}", "{region}", "{dish}"),
        "Its {building} was built in {year}.",
    ),
    _news(
        "{science.cap} is the field that {person} has taught at {org} since {year}.",
        "{person} teaches {science} at {org}.",
        ("{science}", "{person}", "{org}"),
        "The lectures are open to all.",
    ),
    _news(
        "Workers at {org} went on strike on {day} for higher wages.",
        "Workers at {org} are on strike for higher wages.",
        ("{org}", "strike", "{percent}"),
        "They ask for a rise of {percent}.",
        "The strike may last for {count} days.",
    ),
    _news(
        "A {vehicle} caught fire in {place} on {day}, and nobody was hurt.",
        "A {vehicle} caught fire in {place}.",
        ("{vehicle}", "{place}", "fire"),
        "The fire was put out by {person}.",
    ),
    _news(
        "Volunteers planted {number} trees in {region} last weekend.",
        "Volunteers planted {number} trees in {region}.",
        ("{number} trees", "{region}", "{org}"),
        "The action was paid for by {org}.",
    ),
    _news(
        "The old {building} of {place} will be turned into a home for students.",
        "The old {building} of {place} becomes a student home.",
        ("{building}", "{place}", "{money}"),
        "The work will cost {money}.",
    ),
    _news(
        "To make {dish} as in {place}, you need {crop}, {crop2} and a good deal of patience.",
        "{dish.cap} as in {place} needs {crop} and {crop2}.",
        ("{dish}", "{crop}", "{crop2}"),
        "The recipe is {count} generations old.",
    ),
    _news(
        "Voters in {place} rejected the plan for a new {building} on {day}.",
        "{place} voted against a new {building}.",
        ("{place}", "{building}", "{percent}"),
        "Against it were {percent} of them.",
    ),
)

TERMS: tuple[Template, ...] = (
    _terms(
        "Permission is given to anyone to {right}, {right2} and {right3} {legal} without charge.",
        "Anyone may {right}, {right2} and {right3} {legal} without charge.",
        ("{legal}", "permission", "{org}"),
        "Every such permission comes from {org}.",
    ),
    _terms(
        "You may {right} {legal} provided that the name of {org} is kept.",
        "You may {right} {legal} if the name of {org} is kept.",
        ("{legal}", "{org}", "notice"),
        "The notice must be part of all copies.",
    ),
    _terms(
        "{legal.cap} is provided by {org} as it is, without warranty of any kind.",
        "{org} gives no warranty for {legal}.",
        ("warranty", "{org}", "damages"),
        "In no event are the authors liable for damages.",
    ),
    _terms(
        "This agreement between you and {org} governs how you {right} and {right2} {legal}.",
        "The agreement with {org} governs the use of {legal}.",
        ("agreement", "{org}", "{license}"),
        "It replaces the {license} of {year}.",
    ),
    _terms(
        "Redistribution of {legal}, with or without changes, is permitted under the {license}.",
        "{legal.cap} may be redistributed under the {license}.",
        ("redistribution", "{license}", "{org}"),
        "All redistribution in binary form must name {org}.",
    ),
    _terms(
        "{org} keeps all rights in {legal} that are not granted here.",
        "{org} keeps all other rights in {legal}.",
        ("{org}", "rights", "{legal}"),
        "You may not {right} it for money.",
    ),
)

TEMPLATES: Mapping[Domain, tuple[Template, ...]] = {
    Domain.SOFTWARE: SOFTWARE,
    Domain.NEWS: NEWS,
    Domain.TERMS: TERMS,
}

OPENERS: Mapping[Domain, tuple[str, ...]] = {
    Domain.SOFTWARE: (
        "Welcome to the home of {pkg}!",
        "Welcome.",
        "This file describes version {version} of the project.",
        "Note that this project is still young and its interface may change.",
        "Thank you for your interest in our work.",
        "Development happens in the open, and pull requests are welcome.",
    ),
    Domain.NEWS: (
        "There is good news for the people of {place}.",
        "Nobody had expected it so soon.",
        "It was the talk of the town on {day2}.",
        "Here is what happened this week.",
    ),
    Domain.TERMS: (
        "Please read these terms with care.",
        "Copyright {year2} {person2}.",
        "All rights reserved.",
    ),
}
"""Sentences that may stand before the lead, as in real text the first sentence is not always the point."""

FILLERS: Mapping[Domain, tuple[str, ...]] = {
    Domain.SOFTWARE: (
        "It requires Python {pyversion} or later and runs on {os}.",
        "It can be installed from the package index.",
        "The code is released under the {license}.",
        "See the documentation for a complete list of options.",
        "Bug reports and feature requests should go to the issue tracker.",
        "The project was started by {person} at {org} in {year}.",
        "Version {version} was released in {month} and brings {feature7}.",
        "There are no dependencies outside the standard library.",
        "The interface is stable, but details may change before version 1.0.",
        "Most users will only need a single function.",
        "If you find it useful, please consider giving back to the project.",
        "Both synchronous and asynchronous interfaces are available.",
        "Under the hood it relies on a small extension written in {language}.",
        "In our benchmarks it was {count} times faster than the alternatives.",
        "The command line interface offers the same functionality as the library.",
        "Contributions are welcome, and new contributors will find a guide in the repository.",
        "Other features include {feature7}, {feature8} and {feature9}.",
        "It is used in production by {org2} and others.",
        "Errors are reported with the line and column where they occurred.",
        "The default settings work well for most people, and everything can be changed.",
        "Wheels are available for {os}, so no compiler is needed.",
        "Tests are run on every commit with all supported versions of Python.",
        "Older versions of Python are supported by the {version} series.",
        "Please report security problems in private to the maintainers.",
        "You can pass your own functions wherever the library has to make a choice.",
        "Unlike similar projects, it never touches the network.",
        "The design was inspired by a {language7} library of the same name.",
        "When something goes wrong, the original exception is kept.",
        "It is possible to {verb7} {thing7} as well, although this is not the main purpose.",
        "A tutorial shows how to {verb7} and {verb8} {thing7} step by step.",
        "The following example shows the basic usage.",
        "It also works together with {pkg9}.",
        "Many thanks to all the people who have helped along the way.",
        "This release drops support for Python {pyversion}.",
    ),
    Domain.NEWS: (
        "The work was paid for by {org7}.",
        "Neighbours had mixed feelings about it.",
        "More details will be made public in {month7}.",
        "It is not the first time that this has happened.",
        "People in the town had been waiting for it since {year7}.",
        '"We are very happy with the result," {person7} said.',
        '"Nobody told us anything," {person7} complained.',
        "A spokesperson for {org7} did not want to comment.",
        "Similar plans exist in {place7}.",
        "The weather was fine and the streets were full.",
        "Experts are going to look at the matter again in {month7}.",
        "The next meeting takes place on {day7} evening.",
        "Costs had risen several times over the past years.",
        "Tickets and further information can be had at the town hall.",
        "Children under twelve are admitted free.",
        "Local shops are hoping for more customers.",
        "The police are asking for witnesses.",
        "In {year7} a similar attempt had failed.",
        "According to {person7}, it could have been worse.",
        "The region has changed a great deal in recent years.",
        "Some {percent7} of those asked were in favour.",
        "Critics say that it comes too late.",
        "Roads around the centre were closed for several hours.",
        "A film about it will be shown in the {building7}.",
    ),
    Domain.TERMS: (
        "The above notice shall be included in all copies.",
        "These terms apply worldwide and without limit of time.",
        "Nothing in this text limits any rights that the law gives you.",
        "The authors accept no responsibility for how it is used.",
        "Questions may be sent to {person7}.",
        "If any part of these terms is invalid, the other parts remain in force.",
        "Changes have to be marked as such, with the date of the change.",
        "The names of the contributors may not be used for advertising without permission.",
        "Modified versions must not be passed off as the original.",
        "You accept these terms by using it.",
        "Disputes are settled by the courts of {place7}.",
        "A copy of the licence is part of every release.",
        "Fees may be charged for support, but not for the licence.",
    ),
}
"""Sentences that carry nothing of the summary: an adapter learns to pass over them."""
