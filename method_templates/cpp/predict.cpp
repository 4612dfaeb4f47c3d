// @NAME@: the mean of all training cells. Put your model into predict().
#include <H5Cpp.h>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

std::string folder(const char *name, const char *otherwise) { return std::getenv(name) ? std::getenv(name) : otherwise; }

template <typename T> std::vector<T> read(H5::H5File &file, const std::string &path, const H5::DataType &type) {
    auto set = file.openDataSet(path);
    std::vector<T> values(set.getSpace().getSimpleExtentNpoints());
    set.read(values.data(), type);
    return values;
}

template <typename T> void write(H5::H5File &file, const std::string &path, const H5::DataType &type, std::vector<hsize_t> shape, const T *values) {
    file.createDataSet(path, type, H5::DataSpace(shape.size(), shape.data())).write(values, type);
}

// Expression of every gene: here the mean over the cells, X being stored as compressed rows (CSR).
std::vector<float> predict(const std::vector<float> &data, const std::vector<int> &column, size_t cells, size_t genes) {
    std::vector<double> sum(genes);
    for (size_t i = 0; i < data.size(); ++i) sum[column[i]] += data[i] / cells;
    return {sum.begin(), sum.end()};
}

int main() {
    // 1. Read what is asked: the training cells, and one line per prediction wanted.
    const H5::StrType text(H5::PredType::C_S1, H5T_VARIABLE);
    H5::H5File train(folder("LANNER_INPUT", "/input") + "/train.h5ad", H5F_ACC_RDONLY);
    auto genes = read<char *>(train, "var/_index", H5::StrType(train.openDataSet("var/_index")));
    size_t cells = train.openDataSet("X/indptr").getSpace().getSimpleExtentNpoints() - 1;
    std::vector<std::string> requests;
    std::ifstream table(folder("LANNER_INPUT", "/input") + "/requests.csv");
    std::string line;
    for (std::getline(table, line); std::getline(table, line);) requests.push_back(line.substr(0, line.find(',')));

    // 2. Predict one profile for each request, on the scale of X.
    auto profile = predict(read<float>(train, "X/data", H5::PredType::NATIVE_FLOAT), read<int>(train, "X/indices", H5::PredType::NATIVE_INT), cells, genes.size());
    std::vector<float> X;
    std::vector<const char *> ids;
    for (const auto &request : requests) X.insert(X.end(), profile.begin(), profile.end()), ids.push_back(request.c_str());

    // 3. Write them in the order of the requests, over the training genes.
    H5::H5File file(folder("LANNER_OUTPUT", "/output") + "/prediction.h5ad", H5F_ACC_TRUNC);
    file.createGroup("obs"), file.createGroup("var");
    write(file, "X", H5::PredType::NATIVE_FLOAT, {ids.size(), genes.size()}, X.data());
    write(file, "obs/_index", text, {ids.size()}, ids.data());
    write(file, "var/_index", text, {genes.size()}, genes.data());
}
