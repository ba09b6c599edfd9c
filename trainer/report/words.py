"""What the report says in sentences: the verdict, what the score means, what the agent was told."""

from trainer.metrics import formatting
from trainer.report.data import AGENT_POLICIES, Evaluation, PolicyResult, RunData, Score


def verdict(run: RunData) -> str:
    """The outcome in one sentence with its number."""
    evaluation = run.evaluation
    greedy = evaluation.policy("greedy") if evaluation else None
    if evaluation is None or greedy is None:
        return _unfinished(run)
    name, sign = run.score.name, run.score.sign
    interval = f"{formatting.number(greedy.ci_low)} to {formatting.number(greedy.ci_high)}"
    text = f"Mean {name} {formatting.number(greedy.mean)} ({_confidence(evaluation)} interval {interval})"
    exact = evaluation.exact
    gap = exact.gap if exact and exact.gap is not None else greedy.gap
    if evaluation.optimum is not None and gap is not None:
        text += f", {_gap_words(gap, sign)} the optimum of {formatting.number(evaluation.optimum)}"
        if exact and exact.gap is not None:
            text += f" (its exact {name} is {formatting.number(exact.score)})"
    return text + "."


def comparison(run: RunData) -> str | None:
    """How the greedy policy stands against the best baseline; None without either."""
    evaluation = run.evaluation
    greedy = evaluation.policy("greedy") if evaluation else None
    best = best_baseline(run)
    if greedy is None or best is None:
        return None
    sign = run.score.sign
    lead = sign * (greedy.mean - best.mean)
    apart = greedy.ci_low > best.ci_high or best.ci_low > greedy.ci_high
    if not apart:
        return f"Level with the best baseline, {best.name} ({formatting.number(best.mean)}): the intervals overlap."
    how = "Better" if lead > 0 else "Worse"
    size = f" by {formatting.percent(abs(lead / best.mean))}" if best.mean else ""
    return f"{how} than the best baseline, {best.name} ({formatting.number(best.mean)}){size}; the intervals are apart."


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


def score_meaning(run: RunData) -> list[str]:
    """What the numbers are, in sentences."""
    score = run.score
    objective = run.simulation.get("objective")
    what = {
        "average-reward": "the mean per step of a task that goes on forever",
        "episodic": "the sum over one episode, averaged over episodes",
    }.get(str(objective), "the sum over one episode")
    unit = f", in {score.unit}" if score.unit else ""
    sentences = [f"The score is the {score.name}{unit}: {what}; {direction(score)}."]
    if run.optimum is not None:
        sentences.append(
            f"The best possible {score.name} is known: {formatting.number(run.optimum)}. "
            "The gap says how much worse a policy is, relative to it."
        )
    evaluation = run.evaluation
    if evaluation:
        episodes = f" with {evaluation.episodes_per_seed} episodes each" if evaluation.episodes_per_seed else ""
        sentences.append(
            f"Evaluated on {evaluation.seeds} held-out seeds{episodes}, which no training run can draw. "
            f"Intervals hold {_confidence(evaluation)} confidence."
        )
        if any(policy.iqm is not None for policy in evaluation.policies):
            sentences.append("IQM is the interquartile mean: the mean of the middle half of the scores.")
        if len(evaluation.training_seeds) > 1:
            sentences.append(f"Results are across {len(evaluation.training_seeds)} independently trained agents.")
        if evaluation.exact:
            states = f" on {formatting.number(evaluation.exact.states)} states" if evaluation.exact.states else ""
            method = f": {evaluation.exact.method.rstrip('.')}" if evaluation.exact.method else ""
            bounds = f"{formatting.number(evaluation.exact.lower)} and {formatting.number(evaluation.exact.upper)}"
            sentences.append(
                f"The exact {score.name} of the greedy policy was computed without sampling{states}{method}. "
                f"It lies between {bounds}."
            )
    return sentences


def told(run: RunData) -> list[str]:
    """What the agent knew beyond observations and rewards, in sentences, from the run file."""
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


def _gap_words(gap: float, sign: int) -> str:
    if gap < 0:
        return f"{formatting.percent(-gap)} better, by chance of the sample, than"
    return f"{formatting.percent(gap)} {'above' if sign < 0 else 'below'}"


def _confidence(evaluation: Evaluation) -> str:
    return f"{100 * evaluation.confidence:g} %"
