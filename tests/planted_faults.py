"""Answers with faults in known shares, in English and German, and the originals that they were asked for with.

All texts were written for this file: one or two sentences each, as parties and associations write them. The class to
fill is ``housing``; ``health`` and ``transport`` are the others.
"""

import random
from typing import NamedTuple

from synimpute_hf.shingles import shingles_of
from synimpute_hf.validators import Reference

RARE = "housing"
FAULTS = (
    "copy",
    "near-copy",
    "refusal",
    "talk about the text",
    "prompt leak",
    "wrong language",
    "wrong class",
    "too long",
    "too short",
)


class Planted(NamedTuple):
    """An answer as a model gives it; ``fault`` is empty where it is a good one."""

    fault: str
    answer: str
    shown: tuple[str, ...]


ENGLISH = {
    "housing": """
Rents have doubled in ten years while wages crept up by a fifth, and we will cap increases at the rate of inflation.
No family should have to choose between paying the landlord and heating the living room.
We propose a levy on flats that stand empty for more than twelve months.
Public land must be leased, not sold, so that affordable homes can be built on it for generations.
Half of every large development has to be let below the market price.
The right to buy has emptied our council estates; it will be suspended until the stock has recovered.
Young couples are leaving the coast because second homes have swallowed every cottage in the village.
A tenant who complains about mould must be safe from eviction, and that is why no-fault notices will end.
Thirty thousand people sleep in shelters tonight, and each of them needs a front door of their own before anything else.
Our programme funds cooperatives that keep flats in the hands of those who live in them.
Planning permission for a simple extension takes longer than building it, so we shall set a limit of eight weeks.
Every new estate needs a mix of terraces, sheltered bungalows and apartments for single people.
Insulate a million draughty houses and both bills and emissions will fall.
Institutional investors own a third of the inner city; a ceiling on holdings by one company is overdue.
First-time buyers will be exempt from stamp duty up to a price of 300,000.
Holiday lets must be registered and limited to ninety nights a year in towns under pressure.
Students queue for rooms in September and some begin their degree in a tent.
We call for a national register of landlords with the power to strike off those who let slums.
Converting disused offices into dwellings is quicker and cheaper than pouring new foundations.
The waiting list for a council house in this borough is now eleven years long.
Deposits should travel with the tenant from one lease to the next.
Older residents who wish to move to a smaller flat deserve help with the removal and the paperwork.
Our party rejects the sale of municipal housing companies to private equity.
Building costs will only come down if we allow timber, modules and simpler standards for parking spaces.
Housing First has worked in Finland, and it will work in our cities too.
Mortgage holders whose fixed rate runs out next year need a breathing space of six months.
Brownfield sites beside the canal could hold four thousand homes without touching a single meadow.
It is a scandal that nurses and bus drivers can no longer afford to live in the city they keep running.
The ground rent on leasehold flats has become a licence to print money and must be abolished.
Energy upgrades may be passed on to tenants only as far as their heating bill really falls.
Hostel owners charge forty pounds a night for a bunk, and the council pays because it has nowhere else to put people.
Shared ownership sounds fair until rent, mortgage and service charge arrive in the same month.
Let us build upwards: two storeys on top of every supermarket.
A home that was bought with public help must be sold on at a price others can afford.
Letting agents will no longer be allowed to charge applicants for a viewing.
Self-employed tenants are turned away because they have no payslip, and that discrimination has to end.
Farm workers deserve decent lodgings rather than containers behind the barn.
We will double the budget for adapting bathrooms and staircases in the homes of disabled people.
The housing allowance has been frozen for four years while landlords have not been idle.
Garden cities were a good idea a century ago, and we should found three more.
Whoever demolishes cheap flats must replace each of them in the same neighbourhood.
Squatters have revived a street that its owners had left to the pigeons.
Interest-free loans for new roofs and windows go to owners on low incomes.
House prices near the lake are driven by buyers who spend two weeks a year there.
Temporary accommodation is no place for a child to do homework.
The planning inspector has rejected the tower, yet families still need the hundred apartments that it would have held.
Long leases give security to a household and cost the landlord nothing.
Municipal building companies can borrow cheaply and should use that to build.
We want to see wheelchair users find a suitable flat within months and not years.
Estate regeneration without the consent of residents is simply displacement.
""",
    "health": """
Every village deserves a doctor within half an hour, and we will pay a bonus to those who open a practice there.
Waiting times for a hip operation have reached fourteen months; that is not a health service but a lottery.
Nurses need safe staffing levels written into law, ward by ward.
We will abolish prescription charges for people with chronic illness.
Mental illness must be treated as quickly as a broken leg.
The closure of maternity units in rural hospitals has to stop.
Dentistry belongs back in the public system.
A sugar tax on soft drinks would spare thousands of children a life with diabetes.
Ambulances queue outside emergency departments because there are no free beds inside.
Our pharmacists can vaccinate, and they should be allowed to.
Medical schools will train two thousand more doctors each year.
Patients have a right to see their own records and to know who else has looked at them.
Care at home is what most old people want; insurance must pay for it as it pays for a clinic.
Private companies make a profit from dialysis while kidney patients wait for a transplant.
Smoking kills more of us than traffic, and its prevention is worth every penny.
The epidemic has shown how thin our stocks of masks and medicines are.
Midwives deserve insurance they can pay and pay they can live on.
Hospices should not depend on jumble sales for half of their budget.
A cancer diagnosis must lead to treatment within four weeks.
Addiction is an illness, and drug users need therapy instead of a cell.
Junior doctors work eighty hours a week and then drive home half asleep.
Free school meals are the cheapest medicine we have.
The insurance fund must cover spectacles and hearing aids.
Waiting for a psychotherapist should be measured in days.
Generic drugs save millions and work just as well.
Every clinic needs an interpreter on call.
We will restore the grant for student nurses.
Breast screening should begin at forty-five.
Nobody should be discharged from hospital at midnight.
Blood donors deserve a paid morning off.
The ministry knew about the contaminated vaccine and stayed silent.
School nurses notice what busy parents miss.
Air ambulances must not depend on charity shops.
Physiotherapy after a stroke has to start at once.
Drug prices are set in secret, and patients pay for it.
Rural surgeries close when the last general practitioner retires.
We need a national plan against antibiotic resistance.
Women's pain is dismissed too often by doctors who were trained on men.
Dementia wards require more staff and more light.
Public health officers fought the virus with fax machines.
""",
    "transport": """
The last train leaves at nine in the evening, and after that the valley is cut off.
A single monthly ticket for bus, tram and rail throughout the country is our goal.
Freight belongs on the railway, not on the motorway.
We will reopen forty stations that were closed in the sixties.
Cyclists need lanes with a kerb, not a stripe of paint.
Fuel duty hits commuters in the countryside who have no alternative to the car.
Potholes on county roads cost drivers millions in repairs every winter.
Speed limits of thirty kilometres an hour should be the rule in towns.
The new runway will be noisy, expensive and soon superfluous.
School buses must be free for every pupil.
Electric cars are of no use without charging points in the suburbs.
Punctuality on the main line has sunk to sixty per cent, the worst figure since records began.
Ferries to the islands are a lifeline and must be run by the state.
A toll for lorries can pay for the repair of bridges.
Short flights between cities that are linked by fast trains should be banned.
Bus drivers are leaving the job because shifts are split and wages poor.
Night trains could take us to Rome and Lisbon again.
Level crossings have to be made safe before another child is hurt.
Taxi licences are traded like gold while apps ignore every rule.
Double tracks on the coastal railway would halve the delays.
Trams should have priority at every traffic light.
The bypass would save five minutes and destroy a forest.
Pensioners travel free on buses after nine in the morning.
Conductors make passengers feel safe at night.
A rail link to the port takes four hundred lorries off the road each day.
Motorists have been milked for long enough.
Pedestrian crossings must be lit.
Regional airports live on subsidies that the railway could use better.
Hydrogen buses are being tested on two routes.
We want cycle parking for a thousand bicycles at the central station.
Ticket machines are a riddle to tourists and locals alike.
The ring road is jammed from seven until ten.
Driving lessons should not cost a month's wages.
Canal barges can carry gravel and grain without a single traffic jam.
Commuters deserve a refund for each late train.
Scooters thrown across the pavement are a danger to blind people.
The metro must run through the night at weekends.
Diesel trains on the branch line are older than their drivers.
Low-emission zones cut exhaust fumes by a third.
A bridge across the estuary would shorten the journey by an hour.
""",
    "good": """
Nobody can save for a deposit when half of the pay packet goes straight to the letting agent.
We shall buy back the estates that were privatised in the nineties, block by block.
Vacant shops on the high street ought to be turned into maisonettes with a garden at the back.
A rent freeze of three years would give households room to breathe.
The homeless are not a nuisance to be moved along, they are neighbours without a key.
Parish councils should be able to reserve plots for people who grew up in the parish.
Land speculation drives prices; a tax on undeveloped plots will cool the market.
Each borough must publish how many social dwellings it has approved and how many it has lost.
Damp bedrooms make children cough, so inspectors will get the right to order repairs within a fortnight.
Without cheaper credit for housing associations the crisis will outlast this decade.
Our answer to soaring purchase prices is simple: build more, build denser, and build near the station.
In the capital a one-room apartment now costs what a teacher earns.
Grandparents and grandchildren under one roof: we support multi-generation houses with grants.
We want an ombudsman to whom lodgers can turn free of charge.
Evictions in winter are to be forbidden.
Speculators who leave whole blocks to rot should face compulsory purchase.
The government's subsidy for buyers has merely pushed asking prices up and enriched developers.
Accessible bathrooms and lifts must be standard in every newly built block.
Let municipalities have a right of first refusal whenever an apartment house changes hands.
Caravan sites for travellers belong in each local plan.
We demand transparency: who owns the towers in which we live?
Self-build groups will receive plots at a fixed price instead of being outbid by chains.
Leaseholders trapped in blocks with dangerous cladding must not pay for the mistakes of builders.
A flat is a home and not an entry in somebody's portfolio.
Empty barracks at the edge of town can shelter six hundred households by next spring.
Brokers are hired by sellers, and sellers should pay their commission.
Overcrowding has returned to our poorest streets, with three generations in two rooms.
To keep craftsmen in the region we shall set aside building plots for first homes.
Bidding wars for tiny studios humiliate applicants; viewings and offers need clear rules.
Solar panels on the roofs of council blocks will cut the service charge of the people below.
Refuges for women fleeing violence lack places, and so we will finance a thousand more beds and follow-on flats.
Indexed leases have turned inflation into a yearly shock for tenants, and they must be capped.
Old farmhouses may be divided into several dwellings without a change of the zoning plan.
Social landlords shall be freed from corporation tax in return for permanently low rents.
""",
    "wrong class": """
Family doctors spend a third of the day on forms, and digital prescriptions would give them time for the sick.
Vaccination centres should stay open at weekends.
We want a psychologist at each secondary school.
Surgery is postponed again and again because anaesthetists are missing.
The hospital in the market town must keep its emergency ward.
Hearing aids and spectacles ought to be paid for by health insurance.
Antibiotics in animal feed breed germs against which no medicine helps.
Carers who wash and lift patients all day deserve more than applause.
Clinical trials must be published, including those that failed.
The tram to the university should run every five minutes.
Bridges on the northern motorway have been crumbling for years.
Rural buses on demand can be booked by phone and cost no more than a normal ticket.
More trains need more drivers, and training them takes two years.
Parking in the centre is too cheap and bus fares are too dear.
We will electrify the line to the border by the end of the decade.
Airlines must pay tax on kerosene like every motorist does on petrol.
A safe route to school on foot or by bicycle is a right of every child.
Lorries that detour around the toll choke the villages along the old trunk road.
""",
    "refusal": """
I'm sorry, but I can't assist with that request.
I cannot generate political content of this kind.
As an AI language model, I don't have political opinions and cannot write campaign messages.
Unfortunately, I am unable to create a new text for this category.
I apologize, but I can't provide content that could be used to influence voters.
Political persuasion is a sensitive matter. As an AI, I try to stay neutral and would rather help with something else.
I'm just an AI and do not take sides in debates about landlords and tenants.
Writing such a statement would be against my guidelines.
I won't write that, because it could mislead readers.
I'm not able to fulfill this request, since the examples contain one-sided claims.
Rents are a contested subject, and our content policy does not allow me to produce one-sided statements on it.
This request goes against the usage policies I have to follow.
Sorry, I can't help with writing texts for political parties.
I must decline to write another statement about evictions.
""",
    "talk about the text": """
We will freeze rents for five years. This sentence captures the spirit of the examples while changing the topic.
Every tenant deserves a lift that works. (Word count: 8)
In the same spirit as the examples provided, one could demand that empty flats be taxed.
Build on brown land first. I have varied the sentence structure and avoided the phrases of the originals.
Homes for nurses, not for hedge funds! Let me know if you would like a shorter version.
The following statement reflects the category: no child should grow up in a hostel. This text is similar in tone.
Tax second homes at double rate. This example maintains the tone and register of a manifesto.
Like the examples above, this one is about rents: cap them now and build later.
Give councils the money to buy land. Feel free to adjust the figures.
Nobody should be evicted at Christmas (about 20 words).
My response follows the style of the five texts, but talks about students and their rooms.
A roof is a right. This message is about housing and belongs to the category.
""",
    "prompt leak": """
We will limit rents in every town. Text 7: Tenants need a lawyer at their side.
Category: housing
Students need halls of residence near the campus.
Rents must fall. Length: about 17 words. Language: English.
Write one new text in the same spirit, tone and register.
It must belong to the category for the same reasons as the examples do.
Sentence 1: Cap the rent.
Sentence 2: Tax the empty flat.
We will build ten thousand flats in [City] by [Year].
As mayor of [insert name of town], I will buy back the estates.
The <party> stands for affordable homes in every <region or city>.
Definition: statements about homes. New homes are needed in the suburbs.
"""
    + '''"""
Every estate needs a caretaker who knows the tenants by name.
"""
Answer with the new text alone, without quotation marks, numbering, title or comment.
{{ name }} will fight for tenants in {{ city }}.
You write new examples for a text classification dataset, and here is one about rents.
''',
    "too short": """
Housing now.
Lower rents!
Homes.
Yes.
Affordable flats
Rents
Build, build, build.
No evictions
Homes for all
Tax speculators
Tenants first!
Roofs
""",
}

GERMAN = {
    "housing": """
Die Mieten haben sich in zehn Jahren verdoppelt, die Löhne nicht; deshalb deckeln wir sie bei der Inflationsrate.
Keine Familie darf vor der Wahl stehen, ob sie die Miete zahlt oder die Heizung aufdreht.
Wer eine Wohnung länger als ein Jahr leer stehen lässt, soll eine Abgabe zahlen.
Städtischer Boden wird künftig in Erbpacht vergeben und nicht mehr verkauft.
In großen Neubaugebieten muss die Hälfte der Wohnungen unter dem Marktpreis vermietet werden.
Der Verkauf kommunaler Wohnungsgesellschaften an Finanzinvestoren war ein Fehler, den wir rückgängig machen wollen.
An der Küste finden junge Paare nichts mehr, weil jedes zweite Haus nur im Sommer bewohnt ist.
Mieterinnen und Mieter, die Schimmel melden, müssen vor einer Kündigung geschützt sein.
Tausende schlafen heute Nacht in Notunterkünften, obwohl sie zuallererst eine eigene Tür bräuchten.
Wir fördern Genossenschaften, in denen die Bewohner selbst über ihr Haus bestimmen.
Eine Baugenehmigung für den Dachausbau dauert länger als der Umbau, das muss in acht Wochen gehen.
Jedes neue Viertel braucht Reihenhäuser, barrierefreie Wohnungen und Platz für Alleinstehende.
Die Spekulation mit Bauland treibt die Preise, und eine Grundsteuer auf brachliegende Flächen bremst sie.
Ein Drittel der Innenstadt gehört inzwischen wenigen Konzernen.
Beim Kauf des ersten Eigenheims soll die Grunderwerbsteuer entfallen.
Ferienwohnungen in angespannten Lagen sind zu registrieren und auf neunzig Nächte im Jahr zu begrenzen.
Zum Semesterbeginn schlafen Studierende in Turnhallen, weil Wohnheimplätze fehlen.
Leere Büros lassen sich schneller zu Wohnraum umbauen, als neue Häuser hochgezogen werden.
Auf eine Sozialwohnung wartet man in unserer Stadt mittlerweile sieben Jahre.
Die Mietpreisbremse hat Schlupflöcher bei möblierten Zimmern, und diese werden wir schließen.
Ältere Menschen, die in eine kleinere Wohnung ziehen möchten, sollen Hilfe beim Umzug bekommen.
Bauen wird nur dann billiger, wenn wir auf Holz, Module und weniger Stellplätze setzen.
Finnland hat gezeigt, dass die bedingungslose Vergabe von Wohnungen die Obdachlosigkeit beendet.
Am alten Güterbahnhof könnten viertausend Wohnungen entstehen, ohne dass eine Wiese verschwindet.
Pflegekräfte und Busfahrer können sich die Stadt, die sie am Laufen halten, nicht mehr leisten.
Modernisierungskosten dürfen nur umgelegt werden, soweit die Heizkosten tatsächlich sinken.
Eigenbedarfskündigungen für Zweitwohnungen müssen verboten werden.
Das Baukindergeld hat Bauträger reich gemacht und kaum einer Familie zum Haus verholfen.
Wir wollen das Vorkaufsrecht der Gemeinden stärken, damit Häuser nicht an den Meistbietenden gehen.
Zwangsräumungen im Winter sind unmenschlich und gehören abgeschafft.
Studentenwerke bekommen Zuschüsse, um Wohnheime zu sanieren und neue zu bauen.
Ein Mietspiegel, der nur die letzten Jahre zählt, heizt die Mieten weiter an.
Vermieter sollen die Maklergebühr nicht länger auf Wohnungssuchende abwälzen.
Wir bauen Sozialwohnungen, die für immer sozial gebunden bleiben.
Wohnungskonzerne, die Reparaturen verschleppen, verlieren das Recht auf Mieterhöhung.
Auf dem Land stehen Häuser leer, während in den Städten Wohnungen fehlen; wir wollen alte Dorfkerne beleben.
Die Gemeinde kauft Boden auf Vorrat, damit Bauland bezahlbar bleibt.
Wer ein Eigenheim erbt und selbst bewohnt, wird von der Steuer befreit.
Die Wohngelderhöhung kommt bei vielen Haushalten nie an, weil Anträge monatelang liegen.
Dächer aufstocken, Höfe begrünen, Keller dämmen: So wächst die Stadt nach innen.
Untervermietung an Touristen entzieht dem Viertel dringend benötigten Wohnraum.
Wir schützen Kleingärten und bauen stattdessen auf versiegelten Gewerbeflächen neue Wohnhäuser.
Möblierte Kurzzeitvermietung darf kein Weg sein, die Mietpreisbremse zu umgehen.
Ein kommunaler Wohnungstausch hilft Familien zu mehr und Alleinstehenden zu weniger Zimmern.
Hausbesitzer mit kleinem Einkommen erhalten Kredite ohne Zinsen für neue Fenster.
Wer günstige Wohnungen abreißt, muss sie im selben Viertel ersetzen.
Erntehelfer haben Anspruch auf ordentliche Unterkünfte und nicht auf Container hinter der Scheune.
Barrierefreie Wohnungen sind Mangelware, dabei wird unsere Gesellschaft älter.
Über jedem Supermarkt ist Platz für zwei Stockwerke Wohnungen.
Wohnungsbesichtigungen mit zweihundert Bewerbern zeigen, wie groß die Not geworden ist.
""",
    "health": """
Jedes Dorf braucht eine Hausärztin, die in einer halben Stunde erreichbar ist.
Auf einen Termin beim Facharzt warten gesetzlich Versicherte dreimal so lange wie Privatpatienten.
Pflegekräfte brauchen verbindliche Personalschlüssel auf jeder Station.
Für chronisch Kranke schaffen wir die Zuzahlung bei Medikamenten ab.
Eine Depression muss so schnell behandelt werden wie ein gebrochenes Bein.
Die Schließung von Kreißsälen auf dem Land muss aufhören.
Krankenhäuser dürfen nicht länger nach Fallpauschalen um Patienten konkurrieren.
Eine Abgabe auf zuckerhaltige Getränke beugt Diabetes vor.
Rettungswagen stehen Schlange vor der Notaufnahme, weil Betten fehlen.
Apotheken sollen impfen dürfen.
Wir schaffen fünftausend zusätzliche Studienplätze in der Medizin.
Patientinnen haben ein Recht darauf, ihre Akte einzusehen.
Die meisten Alten wollen zu Hause gepflegt werden, und die Kasse muss das bezahlen.
Hebammen können ihre Haftpflicht kaum noch aufbringen.
Rauchen tötet mehr Menschen als der Verkehr, also lohnt sich Vorbeugung.
Die Pandemie hat gezeigt, wie knapp unsere Vorräte an Masken und Arzneien sind.
Hospize dürfen nicht von Spenden abhängen.
Nach einer Krebsdiagnose muss die Therapie binnen vier Wochen beginnen.
Sucht ist eine Krankheit, und Abhängige brauchen Behandlung statt Strafe.
Eine Bürgerversicherung beendet die Zweiklassenmedizin.
Ärztinnen in Weiterbildung sollen auf dem Land arbeiten können, ohne auf Gehalt zu verzichten.
Kliniken brauchen Geld für Betten und Personal statt für Berater.
Die Krankenkassen müssen Brillen für Kinder übernehmen.
Psychotherapie darf nicht erst nach einem halben Jahr Wartezeit beginnen.
Wir stärken die Gesundheitsämter mit Personal und moderner Technik.
Arzneimittel sollen wieder in Europa hergestellt werden.
In jeder Schule soll eine Krankenschwester arbeiten.
Der Notdienst der Hausärzte muss auch nachts erreichbar sein.
Gegen multiresistente Keime helfen saubere Krankenhäuser und neue Wirkstoffe.
Die elektronische Patientenakte erspart Kranken doppelte Untersuchungen.
Operationen, die sich nur für die Klinik lohnen, schaden Patienten.
Pflegende Angehörige brauchen Urlaub und eine Rente.
Zahnersatz darf keine Frage des Einkommens sein.
Blutspenden retten Leben, darum werben wir an Hochschulen dafür.
Impfungen schützen auch die, die selbst nicht geimpft werden können.
Frauenärzte fehlen in vielen Landkreisen.
Das Rote Kreuz und der Rettungsdienst verdienen bessere Fahrzeuge.
Wer Patienten pflegt, soll davon leben können.
Eine Studie zu Langzeitfolgen von Infektionen werden wir finanzieren.
Medikamente gegen seltene Krankheiten dürfen nicht an Patenten scheitern.
""",
    "transport": """
Nach neun Uhr abends fährt kein Zug mehr ins Tal.
Unser Ziel ist ein einziges Ticket für Bus, Straßenbahn und Regionalzug im ganzen Land.
Güter gehören auf die Schiene und nicht auf die Autobahn.
Vierzig stillgelegte Bahnhöfe werden wir wieder öffnen.
Radfahrer brauchen Wege mit Bordstein und keinen Streifen Farbe.
Die Pendlerpauschale hilft denen, die auf dem Land ohne Auto nicht zur Arbeit kommen.
Schlaglöcher auf Kreisstraßen kosten jeden Winter Millionen.
In Ortschaften soll Tempo dreißig die Regel sein.
Die dritte Startbahn ist laut, teuer und bald überflüssig.
Schülerinnen und Schüler fahren künftig kostenlos mit dem Bus.
Elektroautos nützen nichts, solange in den Vororten Ladesäulen fehlen.
Die Pünktlichkeit im Fernverkehr ist auf sechzig Prozent gesunken.
Die Fähren zu den Inseln sind eine Lebensader und gehören in öffentliche Hand.
Mit der Lkw-Maut können wir marode Brücken sanieren.
Kurzstreckenflüge zwischen Städten mit schneller Bahnverbindung sind verzichtbar.
Busfahrer geben auf, weil die Schichten geteilt und die Löhne schlecht sind.
Nachtzüge könnten uns wieder nach Rom und Lissabon bringen.
Bahnübergänge müssen gesichert werden, bevor noch ein Kind verunglückt.
Der zweigleisige Ausbau der Küstenstrecke würde die Verspätungen halbieren.
Ein Tempolimit auf Autobahnen rettet Leben und spart Kraftstoff.
Die Bahn braucht mehr Gleise, mehr Züge und mehr Personal.
Straßenbahnen sollen im Zehnminutentakt fahren.
Ein Bürgerbus verbindet die Dörfer mit dem Bahnhof der Kreisstadt.
Schwertransporte zerstören Straßen und Brücken.
Auf jede Buslinie gehört ein Fahrplan, der bis Mitternacht reicht.
Autofahrer stehen jährlich vierzig Stunden im Stau.
Radschnellwege entlasten Autobahnen rund um die Großstädte.
Der Flughafen bekommt keine weiteren Zuschüsse vom Land.
Lokführer und Zugbegleiter sollen in neuen Schulen ausgebildet werden.
Fahrkarten müssen auch ohne Smartphone zu kaufen sein.
Schüler, Azubis und Rentner fahren zum halben Preis.
Die Autobahn durch das Moor wird nicht gebaut.
Parkplätze am Bahnhof machen das Umsteigen leicht.
Wasserstoffbusse testen wir auf drei Linien.
Ein Nachtflugverbot schützt den Schlaf der Anwohner.
Verspätungen müssen automatisch entschädigt werden.
Lastwagen brauchen genügend Rastplätze.
Zebrastreifen und Ampeln machen den Schulweg sicher.
Die Elektrifizierung der Strecken ersetzt alte Dieselzüge.
Wer Benzin spart, schont Klima und Geldbeutel.
""",
    "good": """
Für eine Anzahlung kann niemand sparen, wenn der halbe Lohn an die Hausverwaltung geht.
Die in den Neunzigern privatisierten Siedlungen kaufen wir Block für Block zurück.
Leerstehende Läden im Ortskern sollen zu Wohnungen mit kleinem Garten werden.
Ein Mietenstopp von drei Jahren verschafft den Haushalten Luft.
Obdachlose sind Nachbarn ohne Schlüssel und kein Ärgernis, das man vertreibt.
Gemeinden sollen Grundstücke für Einheimische zurückhalten dürfen.
Jeder Bezirk muss offenlegen, wie viele Sozialwohnungen er bewilligt und wie viele er verliert.
Feuchte Kinderzimmer machen krank; die Wohnungsaufsicht bekommt das Recht, Reparaturen anzuordnen.
Ohne günstige Kredite für gemeinnützige Bauträger überdauert die Wohnungsnot das Jahrzehnt.
Unsere Antwort auf hohe Kaufpreise lautet: mehr bauen, dichter bauen und nah am Bahnhof bauen.
In der Hauptstadt kostet ein Einzimmerapartment so viel, wie eine Erzieherin verdient.
Großeltern und Enkel unter einem Dach: Mehrgenerationenhäuser fördern wir mit Zuschüssen.
Wir wollen eine kostenlose Ombudsstelle, an die sich Untermieter wenden können.
Wer ganze Häuserzeilen verfallen lässt, muss mit Enteignung rechnen.
Aufzüge und schwellenlose Bäder gehören zum Standard jedes neuen Wohnblocks.
Wem gehören die Hochhäuser, in denen wir leben? Wir fordern ein öffentliches Eigentümerregister.
Baugruppen bekommen Grundstücke zum Festpreis, statt von Ketten überboten zu werden.
Ein Zuhause ist kein Posten im Portfolio eines Fonds.
In den leeren Kasernen am Stadtrand finden bis zum Frühjahr sechshundert Haushalte Platz.
Den Makler bezahlt, wer ihn bestellt, und das muss auch beim Hauskauf gelten.
In den ärmsten Straßen leben wieder drei Generationen in zwei Zimmern.
Damit Handwerker in der Region bleiben, reservieren wir Bauplätze für das erste eigene Haus.
Bieterverfahren um winzige Einzimmerwohnungen entwürdigen die Bewerber; Besichtigungen brauchen klare Regeln.
Photovoltaik auf den Dächern der Siedlungen senkt die Nebenkosten der Menschen darunter.
Frauenhäuser haben zu wenig Plätze, darum finanzieren wir tausend weitere Betten und Anschlusswohnungen.
Indexmieten machen aus der Teuerung einen jährlichen Schock und müssen begrenzt werden.
Alte Bauernhöfe dürfen in mehrere Wohnungen geteilt werden, ohne dass der Bebauungsplan geändert wird.
Eine neue Gemeinnützigkeit befreit Vermieter von Steuern, wenn sie dauerhaft günstig vermieten.
Die Kaution sollte bei einem Umzug einfach zum nächsten Mietvertrag mitwandern.
Ohne Werkswohnungen findet die Klinik am See bald kein Personal mehr, also sollen Betriebe wieder selbst bauen.
Wir begrenzen, wie viele Wohnungen ein einzelner Konzern in einer Stadt besitzen darf.
Kein Kind soll in einer Sammelunterkunft groß werden.
Die Nachverdichtung von Parkplätzen und Supermarktdächern bringt Wohnraum, wo er gebraucht wird.
Sozialbindungen laufen aus wie Milch im Kühlschrank; künftig gelten sie unbefristet.
""",
    "wrong class": """
Hausärzte verbringen ein Drittel des Tages mit Formularen, das elektronische Rezept schafft Zeit für Kranke.
Impfzentren sollen auch am Wochenende öffnen.
An jede weiterführende Schule gehört eine Psychologin.
Operationen werden verschoben, weil Narkoseärzte fehlen.
Das Kreiskrankenhaus muss seine Notaufnahme behalten.
Hörgeräte und Brillen soll die Krankenkasse bezahlen.
Antibiotika im Tierfutter züchten Keime, gegen die keine Arznei mehr hilft.
Wer den ganzen Tag Patienten wäscht und hebt, verdient mehr als Beifall.
Auch misslungene Arzneimittelstudien müssen veröffentlicht werden.
Die Straßenbahn zur Universität soll alle fünf Minuten fahren.
Die Brücken der Nordautobahn bröckeln seit Jahren.
Rufbusse auf dem Land kosten nicht mehr als eine normale Fahrkarte.
Mehr Züge brauchen mehr Lokführer, und deren Ausbildung dauert.
Parken in der Innenstadt ist zu billig und Busfahren zu teuer.
Bis zum Ende des Jahrzehnts elektrifizieren wir die Bahnstrecke zur Grenze.
Fluggesellschaften müssen Kerosin versteuern wie jeder Autofahrer sein Benzin.
Ein sicherer Schulweg zu Fuß oder mit dem Rad ist das Recht jedes Kindes.
Lastwagen, die der Maut ausweichen, ersticken die Dörfer an der alten Bundesstraße.
""",
    "refusal": """
Es tut mir leid, aber ich kann diese Anfrage nicht erfüllen.
Ich kann dabei leider nicht helfen.
Als KI-Sprachmodell habe ich keine politische Meinung und schreibe keine Wahlwerbung.
Leider kann ich keinen neuen Text zu diesem Thema erstellen.
Tut mir leid, das kann ich nicht schreiben.
Politische Werbung ist heikel. Als künstliche Intelligenz bleibe ich neutral.
Ich bin nur eine KI und ergreife im Streit um Mieten keine Partei.
Eine solche Aussage zu verfassen, verstößt gegen meine Richtlinien.
Ich muss diese Anfrage ablehnen, da sie einseitige Behauptungen enthält.
Zu Enteignungen kann ich leider keine weiteren Texte schreiben.
Entschuldigung, aber als KI darf ich dazu nichts sagen.
Ihrer Bitte kann ich nicht nachkommen; diese Bitte muss ich ablehnen.
Das wäre gegen die Richtlinien, an die ich mich halten muss.
Als Sprachmodell kann ich keine Inhalte für Parteien verfassen.
""",
    "talk about the text": """
Wir frieren die Mieten ein. Dieser Satz greift den Ton der Beispiele auf, wechselt aber das Thema.
Jeder Mieter verdient einen Aufzug, der fährt. (Wortanzahl: 8)
Im Stil der Beispiele ließe sich fordern, leere Wohnungen zu besteuern.
Zuerst auf Brachen bauen! Ich habe den Satzbau verändert und keine Wendung übernommen.
Wohnungen für Pflegekräfte statt für Fonds. Lass mich wissen, ob der Text kürzer sein soll.
Kein Kind soll im Heim aufwachsen. Dieser Text entspricht in Ton und Länge den Vorlagen.
Zweitwohnungen doppelt besteuern. Das Beispiel passt zur Kategorie Wohnen.
Ähnlich den Beispielen geht es um Mieten: erst deckeln, dann bauen.
Gebt den Gemeinden Geld für Boden. Ich hoffe, das hilft.
Zu Weihnachten darf niemand geräumt werden (etwa 20 Wörter).
Meine Aussage folgt dem Stil der fünf Texte, handelt aber von Studierenden. Diese Aussage gehört zur Kategorie.
Ein Dach ist ein Recht. Diese Nachricht behandelt das Thema Wohnen.
""",
    "prompt leak": """
Wir begrenzen die Mieten in jeder Stadt. Text 7: Mieter brauchen Rechtsbeistand.
Kategorie: Wohnen
Studierende brauchen Wohnheime in der Nähe der Hochschule.
Die Mieten müssen sinken. Länge: etwa 17 Wörter. Sprache: Deutsch.
Write one new text in the same spirit, tone and register.
It must belong to the category for the same reasons as the examples do.
Satz 1: Deckelt die Miete.
Satz 2: Besteuert den Leerstand.
Bis [Jahr] bauen wir zehntausend Wohnungen in [Stadt].
Als Oberbürgermeister von [Name der Stadt einfügen] kaufe ich die Siedlungen zurück.
Die <Partei> steht für bezahlbares Wohnen in jeder <Stadt oder Region>.
Definition: Aussagen über Wohnungen. In den Vororten fehlen Wohnungen.
"""
    + '''"""
Jede Siedlung braucht einen Hausmeister, der die Mieter beim Namen kennt.
"""
Answer with the new text alone, without quotation marks, numbering, title or comment.
{{ name }} kämpft für die Mieter in {{ stadt }}.
Schreibe einen neuen Satz über Mieten, der zur selben Kategorie gehört.
''',
    "too short": """
Wohnen jetzt.
Mieten runter!
Wohnungen.
Ja.
Bezahlbarer Wohnraum
Mieten
Bauen, bauen, bauen.
Keine Räumungen
Wohnraum für alle
Spekulation besteuern
Mieter zuerst!
Dächer
""",
}

FOREIGN = """
Les loyers ont doublé en dix ans et les familles modestes quittent le centre de nos villes.
Nous voulons que chaque commune construise des logements sociaux près des gares.
El precio de la vivienda expulsa a los jóvenes de los barrios donde crecieron.
Ninguna familia debe ser desahuciada sin una alternativa digna.
Gli affitti troppo alti costringono gli studenti a rinunciare all'università.
Serve un piano nazionale per ristrutturare le case popolari vuote.
Starters vinden geen betaalbare woning meer en blijven bij hun ouders wonen.
Wij willen dat leegstaande kantoren snel worden omgebouwd tot appartementen.
Czynsze rosną szybciej niż płace, dlatego potrzebujemy mieszkań komunalnych.
Hyrorna stiger varje år och unga människor hittar ingen egen lägenhet.
"""


def _lines(block):
    return [line for line in block.strip().splitlines() if line.strip()]


def _leaks(block):
    """Return the answers of a block whose lines 2 to 3, 5 to 6, 7 to 8 and the quoted three belong together."""
    lines = _lines(block)
    joined = [[0], [1, 2], [3], [4], [5], [6, 7], [8], [9], [10], [11], [12, 13, 14], [15], [16], [17]]
    return ["\n".join(lines[k] for k in part) for part in joined]


def _near_copy(text, number):
    """Change a text a little, in one of seven ways."""
    words = text.split()
    middle = len(words) // 2
    shapes = (
        [*words[:middle], *words[middle + 1 :]],
        [*words[:-1], words[-1].rstrip(".") + "!"],
        [*words[:2], "really" if text.isascii() else "wirklich", *words[2:]],
        [*words[:-3]],
        [*words[middle:], *words[:middle]],
        [*words[: middle - 1], words[middle], words[middle - 1], *words[middle + 1 :]],
        [words[0].upper(), *words[1:middle], *words[middle:-1], words[-1].rstrip(".") + ";", "2025."],
    )
    return " ".join(shapes[number % len(shapes)])


def reference(texts):
    """Return what validators may know of the originals."""
    known = {name: _lines(texts[name]) for name in (RARE, "health", "transport")}
    return Reference(known, {}, {}, shingles_of([text for part in known.values() for text in part]))


def answers(texts, other, seed=0):
    """Return all answers in mixed order, each with the five originals that the model was shown.

    Args:
        texts: ``ENGLISH`` or ``GERMAN``.
        other: the other one.
        seed: of the order and of what was shown.
    """
    rng = random.Random(seed)
    own = _lines(texts[RARE])
    good = _lines(texts["good"])
    elsewhere = _lines(texts["health"]) + _lines(texts["transport"])
    made = {
        "": good,
        "copy": rng.sample(own, 8) + [text.upper() for text in rng.sample(own, 3)] + rng.sample(elsewhere, 3),
        "near-copy": [_near_copy(text, number) for number, text in enumerate(rng.sample(own, 21))],
        "wrong language": _lines(other["good"])[::5] + _lines(FOREIGN),
        "prompt leak": _leaks(texts["prompt leak"]),
        "too long": [" ".join(rng.sample(good, 7)) for _ in range(14)],
    }
    made |= {name: _lines(texts[name]) for name in ("wrong class", "refusal", "talk about the text", "too short")}
    planted = [Planted(fault, text, tuple(rng.sample(own, 5))) for fault, part in made.items() for text in part]
    rng.shuffle(planted)
    return planted
