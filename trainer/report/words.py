"""What the report says in sentences: the verdict, what the score means, what the agent was told.

Words between backticks are code; `trainer.report.build` sets them so.
"""

from collections.abc import Mapping

from trainer.metrics import formatting
from trainer.report.data import AGENT_POLICIES, Evaluation, Exact, PolicyResult, RunData, Score


def verdict(run: RunData) -> str:
    """The outcome in one sentence with its number."""
    evaluation = run.evaluation
    greedy = evaluation.policy("greedy") if evaluation else None
    if evaluation is None or greedy is None:
        return _unfinished(run)
    low, mean, high = formatting.apart(greedy.ci_low, greedy.mean, greedy.ci_high)
    text = f"Mean {run.score.name} {mean} ({_confidence(evaluation)} interval {low} to {high})"
    optimum = evaluation.optimum
    if optimum is None:
        return text + "."
    if exact := exact_results(run):
        gaps = [gap for _, gap in exact]
        score, best = formatting.apart(sum(score for score, _ in exact) / len(exact), optimum)
        text += (
            f"; exactly {score}, {_gap_words(sum(gaps) / len(gaps), run.score.sign, exact=True)} the optimum of {best}"
        )
        worst = f" (worst of {len(gaps)}: {formatting.percent(max(gaps))})" if len(gaps) > 1 else ""
        return text + worst + "."
    if greedy.gap is not None:
        best = formatting.apart(greedy.ci_low, greedy.mean, greedy.ci_high, optimum)[-1]
        text += f", {_gap_words(greedy.gap, run.score.sign)} the optimum of {best}"
    return text + "."


def comparison(run: RunData) -> str | None:
    """How the greedy policy stands against the best baseline; None without either.

    On common seeds where the evaluation gives that interval, else by whether the two intervals are apart.
    """
    evaluation = run.evaluation
    greedy = evaluation.policy("greedy") if evaluation else None
    best = best_baseline(run)
    if evaluation is None or greedy is None or best is None:
        return None
    named = f"the best baseline, {best.name} ({formatting.number(best.mean)})"
    paired = evaluation.differences.get(best.name)
    if paired:
        apart = paired.ci_low > 0 or paired.ci_high < 0
        low, high = formatting.apart(paired.ci_low, paired.ci_high)
        why = f"on the same seeds the difference is {low} to {high} ({_confidence(evaluation)} interval)"
    else:
        apart = greedy.ci_low > best.ci_high or best.ci_low > greedy.ci_high
        why = "the intervals are apart" if apart else "the intervals overlap"
    lead = run.score.sign * (paired.mean if paired else greedy.mean - best.mean)
    if not apart:
        return f"Level with {named}: {why}."
    # A share of a score says something only where scores cannot be negative, as costs and counts.
    relative = best.mean > 0 and greedy.mean > 0
    size = f" by {formatting.percent(abs(lead / best.mean)) if relative else formatting.number(abs(lead))}"
    return f"{'Better' if lead > 0 else 'Worse'} than {named}{size}: {why}."


def best_first(run: RunData) -> list[PolicyResult]:
    """The evaluated policies, the one with the best mean first."""
    policies = run.evaluation.policies if run.evaluation else ()
    return sorted(policies, key=lambda policy: run.score.sign * policy.mean, reverse=True)


def best_baseline(run: RunData) -> PolicyResult | None:
    """The baseline with the best mean."""
    return next(filter(is_baseline, best_first(run)), None)


def is_baseline(policy: PolicyResult) -> bool:
    """Whether the policy is not the agent's."""
    return policy.name not in AGENT_POLICIES


def direction(score: Score) -> str:
    """Which way is good."""
    return "lower is better" if score.sign < 0 else "higher is better"


def score_title(score: Score) -> str:
    """The score and its unit, said once: `cost per period`, `return (points)`."""
    if score.unit.startswith("per "):
        return f"{score.name} {score.unit}"
    if score.unit.startswith(score.name) or not score.unit:
        return score.unit or score.name
    return f"{score.name} ({score.unit})"


def score_meaning(run: RunData) -> list[str]:
    """What the numbers are, in sentences."""
    score = run.score
    what = {
        "average-reward": "the mean over the steps of a task that goes on forever",
        "episodic": "the sum over one episode, averaged over episodes",
    }.get(str(run.simulation.get("objective")), "the sum over one episode, averaged over episodes")
    sentences = [f"The score is the {score_title(score)}: {what}; {direction(score)}."]
    if run.optimum is not None:
        sentences.append(
            f"The best possible {score.name} is known: {formatting.number(run.optimum)}. "
            "The gap says how much worse a policy is, relative to it."
        )
    evaluation = run.evaluation
    if evaluation is None:
        return sentences
    episodes = f" with {evaluation.episodes_per_seed:.0f} episodes each" if evaluation.episodes_per_seed else ""
    sentences.append(
        f"Evaluated on {evaluation.seeds} held-out seeds{episodes}, which no training run can draw. "
        f"Intervals hold {_confidence(evaluation)} confidence."
    )
    if any(policy.iqm is not None for policy in evaluation.policies):
        sentences.append("IQM is the interquartile mean: the mean of the middle half of the scores.")
    if len(evaluation.training_seeds) > 1:
        sentences.append(
            f"Results are across {len(evaluation.training_seeds)} independently trained agents. The intervals count "
            "both: other agents, and other held-out seeds, might have been drawn."
        )
    if evaluation.exact:
        sentences.append(_exact_words(evaluation.exact, score))
    elif _remembers(run):
        sentences.append(
            "There is no exact score: the policy remembers what an episode has shown (`agent.networks.recurrent`), so "
            "it is no function of the task's states."
        )
    return sentences


def _remembers(run: RunData) -> bool:
    agent = run.run_file.get("agent")
    networks = agent.get("networks") if isinstance(agent, dict) else None
    return isinstance(networks, dict) and networks.get("recurrent") is not None


def told(run: RunData) -> list[str]:
    """What the agent knew beyond samples, in sentences: as the run recorded it, or else from its run file."""
    said = run.simulation.get("told")
    if isinstance(said, str) and said.strip():
        return [said]
    if isinstance(said, list | tuple) and said:
        return [str(sentence) for sentence in said]
    if isinstance(said, Mapping) and said:
        return [f"{name}: {text}" for name, text in said.items()]
    if said is not None:
        return ["Nothing but what it met in training: observations, actions and rewards."]
    return _told_by_run_file(run)


def _told_by_run_file(run: RunData) -> list[str]:
    agent = run.run_file.get("agent")
    if not isinstance(agent, dict):
        return []
    sentences = []
    if agent.get("expectation_over_noise"):
        sentences.append(
            "The learner knew the law of the environment's noise (`expectation_over_noise`): its value targets average "
            "over every outcome of a step, each computed by the simulator. Its steps do not compare with those of a "
            "method that only samples."
        )
    if agent.get("expected_reward"):
        sentences.append(
            "In training, rewards were their expectations over the noise (`expected_reward`), not the drawn ones."
        )
    if agent.get("common_random_numbers"):
        sentences.append(
            f"In training, groups of {agent['common_random_numbers']} environments shared their noise "
            "(`common_random_numbers`), which only a simulator allows."
        )
    if agent.get("observation_normalisation") == "nominal":
        sentences.append("Observations were scaled by figures that the task declares (`nominal`).")
    if not agent.get("expectation_over_noise") and not agent.get("expected_reward"):
        sentences.insert(0, "The learner saw observations, actions and drawn rewards: no model of the environment.")
    sentences.append("The evaluation draws its noise and rewards; nothing there is averaged beforehand.")
    return sentences


def _unfinished(run: RunData) -> str:
    steps, values = max((member.score_curve() for member in run.runs.values()), key=lambda curve: len(curve[0]))
    if not steps:
        return "Not evaluated yet, and no training figures so far."
    reached = f"training has reached {run.score.name} {formatting.number(values[-1])}"
    return f"Not evaluated yet; {reached} after {formatting.count(steps[-1])} steps (exploring policy)."


def exact_results(run: RunData) -> list[tuple[float, float]]:
    """Exact score and gap of the greedy policy, one for each run of a group if all have them; empty if unknown."""
    evaluations = [member.evaluation for member in run.runs.values()]
    for candidates in (evaluations, [run.evaluation]):
        exact = [evaluation.exact for evaluation in candidates if evaluation and evaluation.exact]
        found = [(result.score, result.gap) for result in exact if result.gap is not None]
        if found and len(found) == len(candidates):
            return found
    return []


def _exact_words(exact: Exact, score: Score) -> str:
    states = f" on {formatting.number(exact.states)} states" if exact.states else ""
    method = f": {exact.method.rstrip('.')}" if exact.method else ""
    text = f"The exact {score.name} of the greedy policy was computed without sampling{states}{method}."
    if exact.lower == exact.upper:
        return text
    low, high = formatting.apart(exact.lower, exact.upper)
    return f"{text} It lies between {low} and {high}."


def _gap_words(gap: float, sign: int, exact: bool = False) -> str:
    if gap < 0:
        chance = "" if exact else ", by chance of the sample,"
        return f"{formatting.percent(-gap)} better{chance} than"
    return f"{formatting.percent(gap)} {'above' if sign < 0 else 'below'}"


def _confidence(evaluation: Evaluation) -> str:
    return f"{100 * evaluation.confidence:g} %"
