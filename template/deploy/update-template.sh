#!/usr/bin/env bash
# CI runs this once a week: if there is a newer template, it commits the update to a branch of its own.
#
#     bash deploy/update-template.sh [BRANCH]
#
# If nothing is newer, it ends without an error and stays on the branch. A conflict, or an update that runs a program of the
# template, needs a person: then it says so and fails.
set -euo pipefail
branch=${1:-template-update}

code=0
uvx copier check-update --quiet || code=$?
case $code in
  0) echo "The template is up to date." && exit 0 ;;
  2) ;;
  *) echo "The template could not be asked for a newer version; .copier-answers.yml says where it is." >&2 && exit 1 ;;
esac

git switch --quiet --force-create "$branch"
code=0
uvx copier update --defaults || code=$?
if [ $code = 4 ]; then
  echo "This update runs a program of the template; the template's changelog says what it does." >&2
  echo "Read it, then run this on a machine of yours: uvx copier update --defaults --trust" >&2
  exit 1
elif [ $code != 0 ]; then
  exit $code
fi

conflicts=$(git ls-files --unmerged | cut -f 2 | sort --unique)
if [ -n "$conflicts" ]; then
  echo "What you changed and what the template changed meet in:" >&2
  echo "$conflicts" >&2
  echo "Update on a machine of yours: uvx copier update --defaults. docs/updating.md says what to do with a conflict." >&2
  exit 1
fi

if [ -f uv.lock ]; then
  uv lock --quiet
fi
git add --all
git commit --quiet --message "Update the template to $(sed -n 's/^_commit: //p' .copier-answers.yml)"
echo "The update is committed to $branch."
