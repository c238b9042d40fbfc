# A dry run ends with a forecast of the jobs that it has listed.
import atexit
import sys


def say_forecast():
    """Three lines on the plan's jobs among those that would run; none where nothing would."""
    # Here and not above: every job of a cluster reads these rules, and none of them needs a forecast.
    from dbot.forecast.forecast import forecast
    from dbot.forecast.show import summary

    if workflow.dag is None:
        return  # the dry run has ended with an error, which says what was wrong
    planned = jobs_of_this_run()  # a dry run has "finished" them by then
    if planned:
        order = {each.name: each for each in PLAN.jobs(planned)}
        jobs = [order[name] for name in order if name in {each.name for each in planned}]
        try:
            print(summary(forecast(PLAN, jobs, complete=False), f"these {len(jobs)} jobs"), file=sys.stderr)
        except UserError as error:
            print("no forecast:", *error.problems, file=sys.stderr)


# Snakemake's hooks are not called in a dry run. What is printed when the rules are read would stand
# above a plan of many pages; at the end of the process it stands below it.
if workflow.is_main_process and workflow.output_settings.dryrun and not workflow.output_settings.quiet:
    atexit.register(say_forecast)
