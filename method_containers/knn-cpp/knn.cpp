// knn-cpp: genes that move together when others are hit do alike when hit themselves.

#include <hdf5.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

using Strings = std::vector<std::string>;
using Profile = std::vector<double>;

std::string from_environment(const char *name, const char *otherwise) {
    const char *value = std::getenv(name);
    return value ? value : otherwise;
}

[[noreturn]] void not_applicable(const std::string &reason) {
    std::cerr << reason << std::endl;
    std::exit(99);
}

hid_t checked(hid_t id, const std::string &what) {
    if (id < 0) throw std::runtime_error("HDF5: " + what);
    return id;
}

// Reading ----------------------------------------------------------------------------------------------------

template <typename T>
std::vector<T> read_numbers(hid_t file, const std::string &path, hid_t type) {
    hid_t set = checked(H5Dopen2(file, path.c_str(), H5P_DEFAULT), path);
    hid_t space = H5Dget_space(set);
    std::vector<T> values(H5Sget_simple_extent_npoints(space));
    checked(H5Dread(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()), path);
    H5Sclose(space);
    H5Dclose(set);
    return values;
}

Strings read_strings(hid_t file, const std::string &path) {
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, H5T_VARIABLE);
    H5Tset_cset(type, H5T_CSET_UTF8);
    std::vector<char *> pointers = read_numbers<char *>(file, path, type);
    H5Tclose(type);
    return Strings(pointers.begin(), pointers.end());  // the pointers live as long as the program
}

Strings read_column(hid_t file, const std::string &name) {
    Strings categories = read_strings(file, "obs/" + name + "/categories"), labels;
    for (int code : read_numbers<int>(file, "obs/" + name + "/codes", H5T_NATIVE_INT)) labels.push_back(categories[code]);
    return labels;
}

// One record of RFC 4180: quotes around a field may hold commas, line breaks and doubled quotes.
bool read_record(std::istream &stream, Strings &fields) {
    fields.assign(1, "");
    bool quoted = false, any = false;
    for (char c; stream.get(c); any = true) {
        if (c == '"' && quoted && stream.peek() == '"') fields.back() += static_cast<char>(stream.get());
        else if (c == '"') quoted = !quoted;
        else if (c == ',' && !quoted) fields.emplace_back();
        else if (c == '\n' && !quoted) return true;
        else if (c != '\r' || quoted) fields.back() += c;
    }
    return any;
}

Strings split(const std::string &text, const std::string &by) {
    Strings parts;
    size_t start = 0;
    for (size_t at; (at = text.find(by, start)) != std::string::npos; start = at + by.size())
        parts.push_back(text.substr(start, at - start));
    parts.push_back(text.substr(start));
    return parts;
}

struct Group {  // rows with one label: their sum, and how many there are
    Profile sum;
    size_t size = 0;
    Profile mean() const {
        Profile mean = sum;
        for (double &value : mean) value /= static_cast<double>(size);
        return mean;
    }
};

// Sums of the rows of X by label, in float64; X is CSR (a group) or dense.
std::map<std::string, Group> sums(hid_t file, const Strings &labels, size_t n_genes) {
    std::map<std::string, Group> groups;
    for (const std::string &label : labels) {
        Group &group = groups[label];
        group.sum.resize(n_genes);
        ++group.size;
    }
    H5O_info_t info;
    checked(H5Oget_info_by_name(file, "X", &info, H5P_DEFAULT), "X");
    bool sparse = info.type == H5O_TYPE_GROUP;
    auto data = read_numbers<float>(file, sparse ? "X/data" : "X", H5T_NATIVE_FLOAT);
    std::vector<int> indices;
    std::vector<int64_t> starts(labels.size() + 1);
    if (sparse) {
        indices = read_numbers<int>(file, "X/indices", H5T_NATIVE_INT);
        starts = read_numbers<int64_t>(file, "X/indptr", H5T_NATIVE_INT64);
    } else {
        for (size_t row = 0; row < starts.size(); ++row) starts[row] = row * n_genes;
    }
    for (size_t row = 0; row < labels.size(); ++row) {
        Profile &sum = groups[labels[row]].sum;
        for (int64_t at = starts[row]; at < starts[row + 1]; ++at) sum[sparse ? indices[at] : at - starts[row]] += data[at];
    }
    return groups;
}

// Predicting -------------------------------------------------------------------------------------------------

struct Trained {
    std::vector<Profile> changes;                // of each training condition, from the control of its context
    std::map<std::string, Profile> controls;     // by context
    std::vector<Strings> targets;                // of each training condition
    std::map<std::string, size_t> gene_columns;

    // Summed response profiles of the genes; empty unless all are measured and the sum is not zero.
    Profile features(const Strings &genes) const {
        Profile sum(changes.size());
        for (const std::string &gene : genes) {
            auto found = gene_columns.find(gene);
            if (found == gene_columns.end()) return {};
            for (size_t p = 0; p < changes.size(); ++p) sum[p] += changes[p][found->second];
        }
        double norm = std::sqrt(std::inner_product(sum.begin(), sum.end(), sum.begin(), 0.0));
        if (!(norm > 0)) return {};
        for (double &value : sum) value /= norm;
        return sum;
    }
};

Profile mean_of_nearest(const Trained &trained, const std::vector<Profile> &features, const Profile &asked, size_t k) {
    std::vector<double> cosine(features.size(), -2);  // conditions without features come last, and never count
    for (size_t p = 0; p < features.size(); ++p)
        if (!features[p].empty()) cosine[p] = std::inner_product(asked.begin(), asked.end(), features[p].begin(), 0.0);
    std::vector<double> sorted = cosine;
    std::sort(sorted.rbegin(), sorted.rend());
    double least = std::max(sorted[std::min(k, sorted.size()) - 1] - 1e-12, -1.5);
    Group chosen{Profile(trained.changes[0].size()), 0};
    for (size_t p = 0; p < features.size(); ++p) {
        if (cosine[p] < least) continue;
        for (size_t gene = 0; gene < chosen.sum.size(); ++gene) chosen.sum[gene] += trained.changes[p][gene];
        ++chosen.size;
    }
    return chosen.mean();
}

Trained fit(hid_t file, const nlohmann::json &task, const Strings &genes) {
    Trained trained;
    for (size_t column = 0; column < genes.size(); ++column) trained.gene_columns[genes[column]] = column;
    Strings labels = read_column(file, task["columns"]["perturbation"]);
    for (size_t row = 0; row < labels.size(); ++row) labels[row] += '\t';
    for (const std::string name : task["columns"]["context"]) {
        Strings column = read_column(file, name);
        for (size_t row = 0; row < labels.size(); ++row) labels[row] += column[row] + "|";
    }
    std::string control = task["control"], plus = task["combination"];
    auto groups = sums(file, labels, genes.size());
    for (const auto &[label, group] : groups) {
        Strings parts = split(label, "\t");
        if (parts[0] == control) trained.controls[parts[1]] = group.mean();
    }
    for (const auto &[label, group] : groups) {
        Strings parts = split(label, "\t");
        auto reference = trained.controls.find(parts[1]);
        if (parts[0] == control || reference == trained.controls.end()) continue;
        trained.targets.push_back(split(parts[0], plus));
        trained.changes.push_back(group.mean());
        for (size_t gene = 0; gene < genes.size(); ++gene) trained.changes.back()[gene] -= reference->second[gene];
    }
    return trained;
}

// Writing ----------------------------------------------------------------------------------------------------

void write_array(hid_t file, const char *path, hid_t stored, hid_t given, std::vector<hsize_t> shape, const void *values) {
    hid_t space = H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr);
    hid_t how = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_obj_track_times(how, false);  // else the file says when it was written, and no two are equal
    hid_t set = checked(H5Dcreate2(file, path, stored, space, H5P_DEFAULT, how, H5P_DEFAULT), path);
    checked(H5Dwrite(set, given, H5S_ALL, H5S_ALL, H5P_DEFAULT, values), path);
    H5Dclose(set);
    H5Pclose(how);
    H5Sclose(space);
}

void write_strings(hid_t file, const char *path, const Strings &values) {
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, H5T_VARIABLE);
    H5Tset_cset(type, H5T_CSET_UTF8);
    std::vector<const char *> pointers;
    for (const std::string &value : values) pointers.push_back(value.c_str());
    write_array(file, path, type, type, {pointers.size()}, pointers.data());
    H5Tclose(type);
}

int run() {
    const std::string input = from_environment("LANNER_INPUT", "/input"), output = from_environment("LANNER_OUTPUT", "/output");
    std::ifstream task_file(input + "/task.json"), requests(input + "/requests.csv");
    const nlohmann::json task = nlohmann::json::parse(task_file);
    hid_t file = checked(H5Fopen((input + "/train.h5ad").c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), "train.h5ad");
    const Strings genes = read_strings(file, "var/_index");
    const Trained trained = fit(file, task, genes);
    H5Fclose(file);
    if (trained.changes.empty()) not_applicable("the training data hold no perturbed condition with control cells of its context");
    std::vector<Profile> features;
    for (const Strings &targets : trained.targets) features.push_back(trained.features(targets));
    if (std::all_of(features.begin(), features.end(), [](const Profile &profile) { return profile.empty(); }))
        not_applicable("no training perturbation with control cells is named after measured genes");

    Strings header, fields, request_ids;
    read_record(requests, header);
    std::vector<float> X;
    std::vector<int8_t> answered;
    while (read_record(requests, fields)) {
        auto field = [&](const std::string &name) { return fields.at(std::find(header.begin(), header.end(), name) - header.begin()); };
        std::string context;
        for (const std::string name : task["columns"]["context"]) context += field(name) + "|";
        request_ids.push_back(field("request_id"));
        auto control = trained.controls.find(context);
        const Profile asked = trained.features(split(field("targets"), task["combination"]));
        answered.push_back(control != trained.controls.end() && !asked.empty());
        Profile predicted(genes.size());
        if (answered.back()) {
            predicted = mean_of_nearest(trained, features, asked, task["parameters"].value("k", size_t{5}));
            for (size_t gene = 0; gene < genes.size(); ++gene) predicted[gene] += control->second[gene];
        } else {
            const char *reason = control == trained.controls.end() ? "no control cells" : "a target is not a measured gene that changes";
            std::cerr << "unanswered: " << field("perturbation") << ": " << reason << "\n";
        }
        X.insert(X.end(), predicted.begin(), predicted.end());
    }
    if (std::none_of(answered.begin(), answered.end(), [](int8_t yes) { return yes; }))
        not_applicable("no request targets measured genes in a context with control cells");

    hid_t made = checked(H5Fcreate((output + "/prediction.h5ad").c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), "prediction.h5ad");
    for (const char *group : {"obs", "var"}) H5Gclose(H5Gcreate2(made, group, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    write_strings(made, "obs/_index", request_ids);
    write_strings(made, "var/_index", genes);
    write_array(made, "X", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, {request_ids.size(), genes.size()}, X.data());
    write_array(made, "obs/answered", H5T_STD_I8LE, H5T_NATIVE_INT8, {answered.size()}, answered.data());
    return H5Fclose(made) < 0;
}

int main() {
    try {
        return run();
    } catch (const std::exception &error) {
        std::cerr << error.what() << std::endl;
        return 1;
    }
}
