# @NAME@: the mean of all training cells, with the HDF5 command line tools and awk. Put your model into predict().
set -euo pipefail
input=${LANNER_INPUT:-/input} output=${LANNER_OUTPUT:-/output} work=$(mktemp -d)

# The values of a data set, one on each line.
values() { h5dump -y -w 1 -d "$1" -o "$work/dump" "$input/train.h5ad" > /dev/null; (cat "$work/dump"; echo) | tr -d ' ,"' | sed '/^$/d'; }
shape() { h5dump -H -d "$1" "$input/train.h5ad" | grep -o 'SIMPLE { ( *[0-9]*' | grep -o '[0-9]*$'; }

# One profile: the mean of every gene over all training cells, from X in rows compressed (CSR).
predict() {
  values X/indices > "$work/indices"; values X/data > "$work/data"
  paste "$work/indices" "$work/data" | awk -v cells="$(($(shape X/indptr) - 1))" -v genes="$1" \
    '{sum[$1] += $2} END {for (g = 0; g < genes; g++) printf "%.7g ", sum[g] / cells}'
}

# 1. Read what is asked: the genes, and one request on each line after the header.
values var/_index > "$work/genes"
tail -n +2 "$input/requests.csv" | tr -d '\r' | cut -d, -f1 > "$work/requests"
genes=$(wc -l < "$work/genes") requests=$(wc -l < "$work/requests")

# 2. Predict one profile for each request, on the scale of X.
profile=$(predict "$genes")
while read -r request; do echo "$profile"; done < "$work/requests" > "$work/X"

# 3. Write them in the order of the requests, over the training genes.
printf 'PATH X\nINPUT-CLASS TEXTFP\nRANK 2\nDIMENSION-SIZES %d %d\nOUTPUT-CLASS FP\nOUTPUT-SIZE 32\n' \
  "$requests" "$genes" > "$work/X.conf"
printf 'PATH obs/_index\nINPUT-CLASS STR\n' > "$work/obs.conf"
printf 'PATH var/_index\nINPUT-CLASS STR\n' > "$work/var.conf"
h5import "$work/X" -c "$work/X.conf" "$work/requests" -c "$work/obs.conf" "$work/genes" -c "$work/var.conf" \
  -o "$output/prediction.h5ad"
