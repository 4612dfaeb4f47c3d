# Builds the image and tries the method on tiny data; ends with 1 and the reason when something is wrong.
exec lanner method check "$(cd "$(dirname "$0")" && pwd)" "$@"
