"""What the columns of lists are called: names of fields are no language people speak."""

from __future__ import annotations

from cyberterr.contracts.finding import Text

OPEN = Text("Open the finding", "Ouvrir le constat")
"""what is shown of the address of a finding"""

LABELS: dict[str, Text] = {
    "message": Text("What", "Quoi (anglais)"),
    "cyberterr.finding.title_fr": Text("What (French)", "Quoi"),
    "event.reason": Text("Why", "Pourquoi (anglais)"),
    "cyberterr.finding.reason_fr": Text("Why (French)", "Pourquoi"),
    "event.severity": Text("Severity", "Gravité"),
    "event.action": Text("Done", "Action"),
    "event.outcome": Text("Outcome", "Résultat"),
    "event.sequence": Text("Number", "Numéro"),
    "event.url": Text("Link", "Lien"),
    "source.ip": Text("Acts", "Agit"),
    "destination.ip": Text("Done to", "Visé"),
    "rule.id": Text("Rule", "Règle"),
    "observer.name": Text("Sensor", "Capteur"),
    "user.name": Text("Who", "Qui"),
    "related.user": Text("Account", "Compte"),
    "file.name": Text("File", "Fichier"),
    "cyberterr.verdict": Text("Verdict on the file", "Verdict sur le fichier"),
    "cyberterr.score": Text("Score (0 to 1)", "Score (0 à 1)"),
    "cyberterr.interval": Text("From … to", "De … à"),
    "cyberterr.media.kind": Text("Kind of file", "Type de fichier"),
    "cyberterr.decoy.kind": Text("Kind of decoy", "Type de leurre"),
    "cyberterr.decoy.planted_in": Text("Where it lies", "Emplacement"),
    "cyberterr.decoy.interaction": Text("What was done", "Ce qui a été fait"),
    "cyberterr.decision.finding_id": Text("Finding", "Constat"),
    "cyberterr.decision.verdict": Text("Verdict", "Décision"),
    "cyberterr.decision.reason": Text("Reason", "Raison"),
    "cyberterr.suppression.rule": Text("Rule that is hidden", "Règle masquée"),
    "cyberterr.suppression.actor": Text("Only from", "Seulement depuis"),
    "cyberterr.suppression.victim": Text("Only to", "Seulement vers"),
    "cyberterr.suppression.expires": Text("Until", "Jusqu’au"),
    "cyberterr.playbook.name": Text("Playbook", "Procédure"),
    "cyberterr.playbook.step": Text("Step", "Étape"),
    "cyberterr.playbook.state": Text("State", "État"),
    "cyberterr.playbook.mode": Text("Mode", "Mode"),
    "cyberterr.playbook.finding_id": Text("Answers finding", "Répond au constat"),
    "cyberterr.run.dropped": Text("Packets lost", "Paquets perdus"),
    "cyberterr.run.evicted": Text("Flows closed early", "Flux fermés trop tôt"),
    "cyberterr.run.warnings": Text("Warnings", "Avertissements"),
    "cyberterr.run.skipped": Text("Detectors that did not judge", "Détecteurs sans jugement"),
    "cyberterr.dropped.documents": Text("Documents never sent", "Documents jamais envoyés"),
}
